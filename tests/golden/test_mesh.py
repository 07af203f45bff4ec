"""The proxies' configuration equals the reviewed files; `make golden` rewrites them."""

import json
import os
from pathlib import Path
from typing import Any

import betterproto2
import pytest
from envoy_data_plane.message_pool import default_message_pool

from mesh.controlplane.deliver.nodes import Translation
from mesh.controlplane.deliver.packed import Kind, Packed
from mesh.controlplane.deliver.snapshot import Snapshot, snapshots
from tests.rigs.mesh.fixed_places import mesh, passed_on, sources

GOLDEN = Path(__file__).with_name("mesh")
BULKY = ("proto_descriptor_bin", "inline_string")
BULKY_CHARS = 1000


@pytest.fixture(scope="module")
def made() -> dict[str, Snapshot]:
    """Return the snapshots of the bank's own mesh."""
    return snapshots(mesh(), passed_on(), sources)


@pytest.mark.parametrize("proxy", ["customers", "payments", "gateway"])
def test_a_snapshot_is_as_reviewed(made: dict[str, Snapshot], proxy: str) -> None:
    snapshot = made[proxy]
    said = {
        "listeners": [_brief(each.json) for each in snapshot.listeners],
        "clusters": [_brief(each.json) for each in snapshot.clusters],
        "secrets": [_brief(each.json) for each in snapshot.secrets],
    }
    _compare(f"{proxy}.json", said)


@pytest.mark.parametrize("proxy", ["payments", "gateway"])
def test_a_snapshot_for_streams_is_as_reviewed(proxy: str) -> None:
    node = Translation().node_snapshots(mesh(), passed_on())[f"{proxy}-0"]
    said = {
        kind.name: [_brief(_read(kind, each)) for each in node.resources[kind].values()]
        for kind in Kind
    }
    _compare(f"{proxy}-stream.json", said)


def _read(kind: Kind, resource: Packed) -> dict[str, Any]:
    message = default_message_pool.url_to_type[kind.value].parse(resource.body)
    uses = sorted(f"{sort.name} {name}" for sort, name in resource.uses)
    return {"uses": uses, **message.to_dict(casing=betterproto2.Casing.SNAKE)}


def _compare(name: str, said: dict[str, Any]) -> None:
    text = json.dumps(said, indent=1) + "\n"
    path = GOLDEN / name
    if os.environ.get("BP_GOLDEN_WRITE") == "1":
        path.write_text(text)
    assert text == path.read_text()


def _brief(value: Any) -> Any:
    """Replace descriptors and Lua by a placeholder, because they have their own tests."""
    if isinstance(value, dict):
        return {
            key: "<bulky>" if key in BULKY and len(each) > BULKY_CHARS else _brief(each)
            for key, each in value.items()
        }
    return [_brief(each) for each in value] if isinstance(value, list) else value
