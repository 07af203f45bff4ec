"""Snapshots are consistent, have versions, and are written as files."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from mesh.controlplane.deliver import files, snapshot
from mesh.controlplane.deliver.snapshot import Snapshot, SnapshotFault, snapshots
from mesh.controlplane.passed_on import PassedOn
from tests.rigs.mesh.fixed_places import mesh, passed_on, sources


@pytest.fixture(scope="module")
def made() -> dict[str, Snapshot]:
    """Return the snapshots of the bank's own mesh."""
    return snapshots(mesh(), passed_on(), sources)


def test_the_same_input_has_the_same_version(made: dict[str, Snapshot]) -> None:
    again = snapshots(mesh(), passed_on(), sources)
    assert {name: each.version for name, each in again.items()} == {
        name: each.version for name, each in made.items()
    }
    assert len({each.version for each in made.values()}) == len(made)


def test_a_change_for_one_service_leaves_the_others_versions(made: dict[str, Snapshot]) -> None:
    bank = mesh()
    first, *rest = bank.sidecars
    moved = replace(first, app_sockets=(*first.app_sockets, Path("/bp/run/more.sock")))
    changed = snapshots(replace(bank, sidecars=(moved, *rest)), passed_on(), sources)
    different = {name for name, each in changed.items() if each.version != made[name].version}
    assert different == {first.workload.name}


@pytest.mark.parametrize("part", ["clusters", "secrets"])
def test_a_snapshot_with_a_missing_resource_is_refused(
    made: dict[str, Snapshot], part: str
) -> None:
    for whole in made.values():
        resources = getattr(whole, part)
        assert resources
        for gone in resources:
            left = [each for each in resources if each is not gone]
            with pytest.raises(SnapshotFault, match=f"{re.escape(gone.name)}, which"):
                snapshot._refuse_inconsistent(replace(whole, **{part: left}))


def test_a_route_to_a_service_without_a_place_is_refused() -> None:
    bank = mesh()
    services = tuple(each for each in bank.edge.services if each.name != "payments")
    with pytest.raises(KeyError, match="payments"):
        snapshots(replace(bank, edge=replace(bank.edge, services=services)), passed_on(), sources)


def test_two_clusters_of_one_name_are_refused() -> None:
    bank = mesh()
    payments = next(each for each in bank.sidecars if each.workload.name == "payments")
    doubled = replace(payments, partners=(*payments.partners, payments.partners[0]))
    with pytest.raises(SnapshotFault, match="share a name"):
        snapshots(replace(bank, sidecars=(doubled,)), passed_on(), sources)


def test_a_sidecar_allows_only_granted_calls(made: dict[str, Snapshot]) -> None:
    """Default deny: each sidecar's rules are ALLOW rules, exact by path and identity."""
    for name in ("payments", "customers", "transfers", "notifications", "audit"):
        text = json.dumps(made[name].listeners[0].json)
        assert '"any"' not in text
        assert "envoy.filters.http.rbac" in text


def test_only_what_changed_is_written_again(made: dict[str, Snapshot], tmp_path: Path) -> None:
    first = files.write(made.values(), tmp_path)
    assert len(first) >= 6 * 4
    assert files.write(made.values(), tmp_path) == []
    path = tmp_path / "customers" / "lds.json"
    path.write_text("{}")
    assert files.write(made.values(), tmp_path) == [path]
    assert json.loads(path.read_text())["version_info"] == made["customers"].version
    assert not list(tmp_path.rglob(".*.draft"))


@pytest.mark.parametrize("proxy", ["customers", "gateway"])
def test_an_expression_of_telemetry_reaches_envoy_as_it_was_written(proxy: str) -> None:
    expression = "request.headers['x'].matches('^a\\\\d') || !(response.code in [200, 201])"
    snapshot = snapshots(mesh(), PassedOn(log_filter=expression), sources)[proxy]
    for listener in snapshot.listeners:
        manager = listener.json["filter_chains"][0]["filters"][0]["typed_config"]
        filtered = manager["access_log"][0]["filter"]["extension_filter"]["typed_config"]
        assert filtered["expression"] == expression
