"""The files of a proxy: their order, and what stays in them after it has left the configuration."""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mesh.controlplane.deliver import files
from mesh.controlplane.deliver.envelopes import named_resources
from mesh.controlplane.deliver.snapshot import Snapshot, snapshots
from tests.rigs.mesh.fixed_places import mesh, passed_on, sources

PARTNER = "partner/fraud.example"


@pytest.fixture(scope="module")
def whole() -> Snapshot:
    """Return the snapshot of payments."""
    return snapshots(mesh(), passed_on(), sources)["payments"]


@pytest.fixture(scope="module")
def less(whole: Snapshot) -> Snapshot:
    """Return the snapshot of payments without a partner."""
    bank = mesh()
    own = next(each for each in bank.sidecars if each.workload.name == "payments")
    left = tuple(each for each in own.partners if each.host != "fraud.example")
    changed = replace(bank, sidecars=(replace(own, partners=left),))
    return snapshots(changed, passed_on(), sources)["payments"]


def _clusters(folder: Path) -> set[str]:
    return set(named_resources((folder / "cds.pb").read_bytes()))


def _secrets(folder: Path) -> set[str]:
    start: Any = json.loads((folder / "bootstrap.json").read_text())
    return {each["name"] for each in start["static_resources"]["secrets"]}


def _names(paths: list[Path]) -> list[str]:
    return [each.name for each in paths if each.parent.name != "sds"]


def test_what_leaves_the_configuration_stays_in_the_files_until_they_are_cleared(
    whole: Snapshot, less: Snapshot, tmp_path: Path
) -> None:
    files.write_last_good(whole, tmp_path)
    secrets = _secrets(tmp_path)
    assert not files.keeps(whole, tmp_path)
    files.write_last_good(less, tmp_path)
    assert files.keeps(less, tmp_path)
    assert PARTNER in _clusters(tmp_path)
    assert _secrets(tmp_path) == secrets
    # The next edit keeps it too: the calls of the first listener may not have ended.
    assert files.write_last_good(less, tmp_path) == []
    assert _names(files.clear_last_good(less, tmp_path)) == ["cds.pb", "bootstrap.json"]
    assert _clusters(tmp_path) == {each.name for each in less.clusters}
    assert _secrets(tmp_path) < secrets
    assert not files.keeps(less, tmp_path)
    assert files.clear_last_good(less, tmp_path) == []


def test_what_comes_back_is_there_once(whole: Snapshot, less: Snapshot, tmp_path: Path) -> None:
    for each in (whole, less, whole):
        files.write_last_good(each, tmp_path)
    assert not files.keeps(whole, tmp_path)
    names = [
        each["name"]
        for each in json.loads((tmp_path / "bootstrap.json").read_text())["static_resources"][
            "secrets"
        ]
    ]
    assert len(names) == len(set(names))


def test_a_file_is_written_before_the_files_that_refer_to_it(
    whole: Snapshot, less: Snapshot, tmp_path: Path
) -> None:
    """The bootstrap is the last one only where there is none: it says that the others are there."""
    assert _names(files.write_last_good(less, tmp_path)) == ["cds.pb", "lds.pb", "bootstrap.json"]
    assert _names(files.write_last_good(whole, tmp_path)) == ["bootstrap.json", "cds.pb", "lds.pb"]


def test_damaged_files_are_written_again(whole: Snapshot, tmp_path: Path) -> None:
    files.write_last_good(whole, tmp_path)
    for name in ("cds.pb", "bootstrap.json"):
        (tmp_path / name).write_bytes(b"\xff[")
    assert _names(files.write_last_good(whole, tmp_path)) == ["bootstrap.json", "cds.pb"]
    assert _clusters(tmp_path) == {each.name for each in whole.clusters}


def test_a_route_to_a_cluster_that_is_not_there_yet_refuses_no_listener(whole: Snapshot) -> None:
    """As by stream. Otherwise the proxy would keep the old listener until the next edit."""
    for each in whole.listeners:
        manager = each.json["filter_chains"][0]["filters"][0]["typed_config"]
        assert manager["route_config"]["validate_clusters"] is False


def test_a_secret_that_alone_leaves_the_configuration_is_kept_and_cleared(
    whole: Snapshot, tmp_path: Path
) -> None:
    """Regression: it was never removed, so a proxy did not start once its files were gone."""
    files.write_last_good(whole, tmp_path)
    gone = next(each for each in whole.secrets if each.name not in whole.workload.rotating)
    left = [each for each in whole.secrets if each is not gone]
    fewer = replace(whole, secrets=left)
    files.write_last_good(fewer, tmp_path)
    assert gone.name in _secrets(tmp_path)
    assert files.keeps(fewer, tmp_path)
    files.clear_last_good(fewer, tmp_path)
    assert gone.name not in _secrets(tmp_path)
    assert not files.keeps(fewer, tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        "[]",
        '{"static_resources": []}',
        '{"static_resources": {"secrets": {"name": "x"}}}',
        '{"static_resources": {"secrets": [7, {"other": 1}, {"name": 1}]}}',
        "[" * 100_000,
        "\xff",
    ],
    ids=["list", "resources", "secrets", "secret", "deep", "bytes"],
)
def test_a_bootstrap_of_another_form_is_written_again(
    whole: Snapshot, tmp_path: Path, content: str
) -> None:
    """Regression: it ended the control plane at each start."""
    files.write_last_good(whole, tmp_path)
    secrets = _secrets(tmp_path)
    (tmp_path / "bootstrap.json").write_text(content, encoding="latin-1")
    files.write_last_good(whole, tmp_path)
    assert _secrets(tmp_path) == secrets


def test_each_file_is_on_the_disk_before_it_replaces_the_last_one(
    whole: Snapshot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: after a power failure a file could be empty, and the last good one was gone."""
    synced: set[int] = set()
    real, rename = os.fsync, Path.rename

    def noted(descriptor: int) -> None:
        real(descriptor)
        synced.add(os.fstat(descriptor).st_ino)

    def checked(self: Path, target: Path) -> Path:
        assert self.stat().st_ino in synced, target.name
        return rename(self, target)

    monkeypatch.setattr(os, "fsync", noted)
    monkeypatch.setattr(Path, "rename", checked)
    assert "cds.pb" in _names(files.write_last_good(whole, tmp_path))
