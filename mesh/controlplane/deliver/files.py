"""Delivery by files that Envoy watches: one folder for each proxy.

`bootstrap.json` refers to `lds.json` and `cds.json`. Their TLS contexts refer to
`sds/<secret>.json` for certificates that are renewed. Authorities and partners' client
certificates stay valid while a proxy runs, so they are in the bootstrap: each watched secret takes
two inotify instances, and Linux gives a user 128. A changed file is written under another name and
renamed over the old one; Envoy waits for this rename. Unchanged files are not written. A file is
written before the files that refer to it.
"""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import betterproto2
from envoy_data_plane.envoy.config.core import v3 as core

from mesh.controlplane import model
from mesh.controlplane.deliver.snapshot import Resource, Snapshot, SourceOf
from mesh.controlplane.translate.bootstrap import bootstrap_of
from mesh.controlplane.translate.parts import SecretSource


def file_source(path: Path) -> core.ConfigSource:
    """Return a source that watches one file."""
    return core.ConfigSource(
        path_config_source=core.PathConfigSource(
            path=str(path), watched_directory=core.WatchedDirectory(path=str(path.parent))
        ),
        resource_api_version=core.ApiVersion.V3,
    )


def secret_files(out: Path) -> SourceOf:
    """Return the sources of each workload's secrets, which are files under `out`."""

    def source_of(workload: model.Workload) -> SecretSource:
        folder, watched = out / workload.name / "sds", workload.rotating
        return lambda name: file_source(folder / f"{name}.json") if name in watched else None

    return source_of


def write(snapshots: Iterable[Snapshot], out: Path) -> list[Path]:
    """Write the folder of every proxy; return the files that changed."""
    return [path for each in snapshots for path in _write_one(each, out / each.workload.name)]


def _write_one(snapshot: Snapshot, folder: Path) -> list[Path]:
    (folder / "sds").mkdir(parents=True, exist_ok=True)
    rotating = snapshot.workload.rotating
    start = bootstrap_of(
        snapshot.workload, file_source(folder / "lds.json"), file_source(folder / "cds.json")
    ).to_dict(casing=betterproto2.Casing.SNAKE)
    at_start = [_unwatched(each.json) for each in snapshot.secrets if each.name not in rotating]
    start["static_resources"] = {"secrets": at_start}
    files = [
        *(
            (folder / "sds" / f"{secret.name}.json", _response(snapshot, [secret]))
            for secret in snapshot.secrets
            if secret.name in rotating
        ),
        (folder / "cds.json", _response(snapshot, snapshot.clusters)),
        (folder / "lds.json", _response(snapshot, snapshot.listeners)),
        (folder / "bootstrap.json", start),
    ]
    return [path for path, content in files if _replace(path, content)]


def _unwatched(secret: dict[str, Any]) -> dict[str, Any]:
    """Remove the watched folder and the type: a secret in the bootstrap is read only once."""
    kept = {key: value for key, value in secret.items() if key != "@type"}
    for part in ("tls_certificate", "validation_context"):
        if part in kept:
            inner = kept[part].items()
            kept[part] = {key: value for key, value in inner if key != "watched_directory"}
    return kept


def _response(snapshot: Snapshot, resources: Iterable[Resource]) -> dict[str, Any]:
    return {"version_info": snapshot.version, "resources": [each.json for each in resources]}


def _replace(path: Path, content: dict[str, Any]) -> bool:
    text = json.dumps(content, indent=1) + "\n"
    if path.exists() and path.read_text() == text:
        return False
    draft = path.with_name(f".{path.name}.draft")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
        out.write(text)
    draft.rename(path)
    return True
