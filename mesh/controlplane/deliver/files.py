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
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import betterproto2
from envoy_data_plane.envoy.config.core import v3 as core
from envoy_data_plane.envoy.service.discovery.v3 import DiscoveryResponse
from envoy_data_plane.google.protobuf import Any as AnyMessage

from mesh.controlplane import model
from mesh.controlplane.deliver.snapshot import Resource, Snapshot, SourceOf, type_url
from mesh.controlplane.translate.bootstrap import bootstrap_by_stream, bootstrap_of
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
    return secret_files_in(lambda workload: out / workload.name)


def secret_files_in(folder_of: Callable[[model.Workload], Path]) -> SourceOf:
    """Return the sources of each workload's secrets, which are files in the workload's folder."""

    def source_of(workload: model.Workload) -> SecretSource:
        folder, watched = folder_of(workload) / "sds", workload.rotating
        return lambda name: file_source(folder / f"{name}.json") if name in watched else None

    return source_of


def write(snapshots: Iterable[Snapshot], out: Path) -> list[Path]:
    """Write the folder of every proxy; return the files that changed."""
    return [path for each in snapshots for path in _write_one(each, out / each.workload.name)]


def write_last_good(snapshot: Snapshot, folder: Path) -> list[Path]:
    """Write the files from which a proxy starts without a control plane; return what changed.

    `secret_files_in` must have given the same folder. Listeners and clusters are packed, because
    writing them as JSON takes longer than all other steps of an edit.
    """
    make_folder(folder)
    files = [
        *_secret_files(snapshot, folder),
        (folder / "cds.pb", _packed_response(snapshot, snapshot.clusters)),
        (folder / "lds.pb", _packed_response(snapshot, snapshot.listeners)),
        (folder / "bootstrap.json", _text(_start(snapshot, folder, "pb"))),
    ]
    return [path for path, content in files if _replace(path, content)]


def make_folder(folder: Path) -> None:
    """Create the folder of one proxy, for this user alone."""
    for each in (folder, folder / "sds"):
        each.mkdir(mode=0o700, parents=True, exist_ok=True)


def write_stream_bootstrap(workload: model.Workload, socket: Path, path: Path) -> bool:
    """Write the bootstrap of a proxy with a stream; return whether it changed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    made = bootstrap_by_stream(workload, socket).to_dict(casing=betterproto2.Casing.SNAKE)
    return _replace(path, _text(made))


def _write_one(snapshot: Snapshot, folder: Path) -> list[Path]:
    (folder / "sds").mkdir(parents=True, exist_ok=True)
    files = [
        *_secret_files(snapshot, folder),
        (folder / "cds.json", _text(_response(snapshot, snapshot.clusters))),
        (folder / "lds.json", _text(_response(snapshot, snapshot.listeners))),
        (folder / "bootstrap.json", _text(_start(snapshot, folder, "json"))),
    ]
    return [path for path, content in files if _replace(path, content)]


def _secret_files(snapshot: Snapshot, folder: Path) -> list[tuple[Path, bytes]]:
    return [
        (folder / "sds" / f"{secret.name}.json", _text(_response(snapshot, [secret])))
        for secret in snapshot.secrets
        if secret.name in snapshot.workload.rotating
    ]


def _start(snapshot: Snapshot, folder: Path, form: str) -> dict[str, Any]:
    rotating = snapshot.workload.rotating
    start = bootstrap_of(
        snapshot.workload,
        file_source(folder / f"lds.{form}"),
        file_source(folder / f"cds.{form}"),
    ).to_dict(casing=betterproto2.Casing.SNAKE)
    at_start = [_unwatched(each.json) for each in snapshot.secrets if each.name not in rotating]
    start["static_resources"] = {"secrets": at_start}
    return start


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


def _packed_response(snapshot: Snapshot, resources: Iterable[Resource]) -> bytes:
    found = [AnyMessage(type_url=type_url(each.message), value=each.body) for each in resources]
    return bytes(DiscoveryResponse(version_info=snapshot.version, resources=found))


def _text(content: dict[str, Any]) -> bytes:
    return (json.dumps(content, indent=1) + "\n").encode()


def _replace(path: Path, content: bytes) -> bool:
    if path.exists() and path.read_bytes() == content:
        return False
    draft = path.with_name(f".{path.name}.draft")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
        out.write(content)
    draft.rename(path)
    return True
