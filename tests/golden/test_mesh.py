"""The proxies' configuration equals the reviewed files; `make golden` rewrites them."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

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
    text = json.dumps(said, indent=1) + "\n"
    path = GOLDEN / f"{proxy}.json"
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
