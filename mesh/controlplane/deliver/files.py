"""Delivery by files that Envoy watches: one folder for each proxy.

`bootstrap.json` names the files of listeners and clusters, which name `sds/<secret>.json` for
renewed certificates; each watched secret takes two inotify instances, so the others are in the
bootstrap. A changed file is written under another name and renamed over the old one. No proxy
acknowledges a file, and each may be read before the next one is written, so a file is written
before the files that refer to it. What leaves the configuration stays in the files at first,
because the calls of a replaced listener still need it; `clear` removes it after the drain time.
"""

import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import betterproto2
from envoy_data_plane.envoy.config.core import v3 as core
from envoy_data_plane.envoy.service.discovery.v3 import DiscoveryResponse
from envoy_data_plane.google.protobuf import Any as AnyMessage

from mesh.controlplane import model
from mesh.controlplane.deliver.envelopes import MalformedRequest, named_resources
from mesh.controlplane.deliver.packed import Kind
from mesh.controlplane.deliver.snapshot import Resource, Snapshot, SourceOf, type_url
from mesh.controlplane.translate.bootstrap import bootstrap_by_stream, bootstrap_of
from mesh.controlplane.translate.parts import SecretSource

Kept = Mapping[str, Any]
"""Resources of earlier configurations by name, in the form of their file."""


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
    return secret_files_in(lambda workload: out / workload.folder)


def secret_files_in(folder_of: Callable[[model.Workload], Path]) -> SourceOf:
    """Return the sources of each workload's secrets, which are files in the workload's folder."""

    def source_of(workload: model.Workload) -> SecretSource:
        folder, watched = folder_of(workload) / "sds", workload.rotating
        return lambda name: file_source(folder / f"{name}.json") if name in watched else None

    return source_of


def write(snapshots: Iterable[Snapshot], out: Path) -> list[Path]:
    """Write the folder of every proxy; return the files that changed."""
    return [path for each in snapshots for path in _write(each, out / each.workload.folder, _JSON)]


def clear(snapshots: Iterable[Snapshot], out: Path) -> list[Path]:
    """Remove what `write` has kept of earlier configurations; return the files that changed."""
    return [path for each in snapshots for path in _clear(each, out / each.workload.folder, _JSON)]


def write_last_good(snapshot: Snapshot, folder: Path) -> list[Path]:
    """Write the files from which a proxy starts without a control plane; return what changed.

    `secret_files_in` must have given the same folder. Listeners and clusters are packed, because
    writing them as JSON takes longer than all other steps of an edit.
    """
    make_folder(folder)
    return _write(snapshot, folder, _PACKED)


def clear_last_good(snapshot: Snapshot, folder: Path) -> list[Path]:
    """Remove what `write_last_good` has kept of earlier configurations; return what changed."""
    return _clear(snapshot, folder, _PACKED)


def keeps(snapshot: Snapshot, folder: Path) -> bool:
    """Return whether the last good files have resources that are no longer in the snapshot."""
    clusters = _left(_PACKED.read(folder / "cds.pb"), snapshot.clusters)
    return bool(clusters or _left(_secrets_of(folder / "bootstrap.json"), snapshot.secrets))


def make_folder(folder: Path) -> None:
    """Create the folder of one proxy, for this user alone."""
    for each in (folder, folder / "sds"):
        each.mkdir(mode=0o700, parents=True, exist_ok=True)


def write_stream_bootstrap(workload: model.Workload, socket: Path, path: Path) -> bool:
    """Write the bootstrap of a proxy with a stream; return whether it changed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    made = bootstrap_by_stream(workload, socket).to_dict(casing=betterproto2.Casing.SNAKE)
    return _replace(path, _text(made))


@dataclass(frozen=True, slots=True)
class _Form:
    """How the resources of a file are written. Both functions use resources by their names."""

    ending: str
    read: Callable[[Path], Kept]
    text: Callable[[str, Iterable[Resource], Kept], bytes]


def _write(snapshot: Snapshot, folder: Path, form: _Form) -> list[Path]:
    (folder / "sds").mkdir(parents=True, exist_ok=True)
    start, path = folder / "bootstrap.json", folder / f"cds.{form.ending}"
    secrets = _left(_secrets_of(start), snapshot.secrets)
    clusters = _left(form.read(path), snapshot.clusters)
    begin = (start, _text(_start(snapshot, folder, form.ending, secrets)))
    files = [
        *_secret_files(snapshot, folder),
        # A proxy that starts between two files needs the secrets of the clusters.
        *((begin,) if start.exists() else ()),
        (path, form.text(snapshot.version, snapshot.clusters, clusters)),
        (folder / f"lds.{form.ending}", form.text(snapshot.version, snapshot.listeners, {})),
        # The first one comes last, because it says that all files are there.
        begin,
    ]
    return [path for path, content in files if _replace(path, content)]


def _clear(snapshot: Snapshot, folder: Path, form: _Form) -> list[Path]:
    files = [
        (folder / f"cds.{form.ending}", form.text(snapshot.version, snapshot.clusters, {})),
        (folder / "bootstrap.json", _text(_start(snapshot, folder, form.ending, {}))),
    ]
    return [path for path, content in files if path.exists() and _replace(path, content)]


def _left(before: Kept, now: Iterable[Resource]) -> Kept:
    """Return the resources that are not in the snapshot any more."""
    names = {each.name for each in now}
    return {name: each for name, each in before.items() if name not in names}


def _secret_files(snapshot: Snapshot, folder: Path) -> list[tuple[Path, bytes]]:
    return [
        (folder / "sds" / f"{secret.name}.json", _json_response(snapshot.version, [secret], {}))
        for secret in snapshot.secrets
        if secret.name in snapshot.workload.rotating
    ]


def _start(snapshot: Snapshot, folder: Path, ending: str, kept: Kept) -> dict[str, Any]:
    rotating = snapshot.workload.rotating
    start = bootstrap_of(
        snapshot.workload,
        file_source(folder / f"lds.{ending}"),
        file_source(folder / f"cds.{ending}"),
    ).to_dict(casing=betterproto2.Casing.SNAKE)
    at_start = [_unwatched(each.json) for each in snapshot.secrets if each.name not in rotating]
    start["static_resources"] = {"secrets": [*at_start, *kept.values()]}
    return start


def _unwatched(secret: dict[str, Any]) -> dict[str, Any]:
    """Remove the watched folder and the type: a secret in the bootstrap is read only once."""
    kept = {key: value for key, value in secret.items() if key != "@type"}
    for part in ("tls_certificate", "validation_context"):
        if part in kept:
            inner = kept[part].items()
            kept[part] = {key: value for key, value in inner if key != "watched_directory"}
    return kept


def _response(version: str, resources: Iterable[Resource], kept: Kept) -> dict[str, Any]:
    written = [*(each.json for each in resources), *kept.values()]
    return {"version_info": version, "resources": written}


def _json_response(version: str, resources: Iterable[Resource], kept: Kept) -> bytes:
    return _text(_response(version, resources, kept))


def _packed_response(version: str, resources: Iterable[Resource], kept: Kept) -> bytes:
    found = [AnyMessage(type_url=type_url(each.message), value=each.body) for each in resources]
    found += [AnyMessage(type_url=Kind.CLUSTER.value, value=each) for each in kept.values()]
    return bytes(DiscoveryResponse(version_info=version, resources=found))


def _json_clusters(path: Path) -> Kept:
    return _by_name(_json(path).get("resources"))


def _packed_clusters(path: Path) -> Kept:
    try:
        return named_resources(path.read_bytes())
    except (OSError, MalformedRequest):
        return {}


def _secrets_of(start: Path) -> Kept:
    resources = _json(start).get("static_resources")
    return _by_name(resources.get("secrets")) if isinstance(resources, dict) else {}


def _json(path: Path) -> dict[str, Any]:
    """Return the content of a file; one that is absent or was damaged has none."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _by_name(resources: Any) -> Kept:
    """Return the resources that have a name."""
    found = resources if isinstance(resources, list) else []
    named = (each for each in found if isinstance(each, dict))
    return {each["name"]: each for each in named if isinstance(each.get("name"), str)}


_JSON = _Form("json", _json_clusters, _json_response)
_PACKED = _Form("pb", _packed_clusters, _packed_response)


def _text(content: dict[str, Any]) -> bytes:
    return (json.dumps(content, indent=1) + "\n").encode()


def _replace(path: Path, content: bytes) -> bool:
    if path.exists() and path.read_bytes() == content:
        return False
    draft = path.with_name(f".{path.name}.draft")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
        out.write(content)
        out.flush()
        # A power failure must not leave an empty file where the last good one was.
        os.fsync(out.fileno())
    draft.rename(path)
    return True
