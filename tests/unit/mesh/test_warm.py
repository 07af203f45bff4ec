"""Envoy validates packed resources in processes that already wait for them."""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from envoy_data_plane.envoy.config.cluster import v3 as cluster
from envoy_data_plane.envoy.config.route import v3 as route

from mesh.controlplane.deliver.nodes import Translation
from mesh.controlplane.deliver.packed import Kind, Packed, pack
from mesh.controlplane.deliver.warm import Validator
from tests.rigs.mesh.fixed_places import mesh, passed_on


@pytest.fixture
async def validator(tmp_path: Path) -> AsyncIterator[Validator]:
    """Return a running validator."""
    made = Validator(tmp_path / "validation")
    await made.start()
    try:
        yield made
    finally:
        await made.close()


def every_resource() -> list[Packed]:
    """Return all resources of all nodes, each once."""
    nodes = Translation().node_snapshots(mesh(), passed_on()).values()
    found = {each for node in nodes for kind in Kind for each in node.resources[kind].values()}
    return sorted(found, key=lambda each: (each.kind.value, each.name))


async def test_envoy_accepts_all_resources_of_the_bank_at_once(validator: Validator) -> None:
    assert await validator.validate(every_resource()) == []


async def test_each_refused_resource_is_found_among_good_ones(validator: Validator) -> None:
    bad_route = route.RouteConfiguration(
        name="outbound",
        virtual_hosts=[route.VirtualHost(name="x", domains=["*", "*"])],
    )
    bad_cluster = cluster.Cluster(name="partner/x", type=cluster.ClusterDiscoveryType.EDS)
    bad = [
        pack(Kind.ROUTES, "outbound", bytes(bad_route)),
        pack(Kind.CLUSTER, "partner/x", bytes(bad_cluster)),
    ]
    refused = await validator.validate([*every_resource()[:6], *bad])
    assert [(each.kind, each.name) for each in refused] == [
        ("routes", "outbound"),
        ("cluster", "partner/x"),
    ]
    assert "Only a single wildcard domain" in refused[0].reason
    assert "EDS" in refused[1].reason


async def test_a_setting_of_a_filter_that_envoy_refuses_is_found(validator: Validator) -> None:
    bank = mesh()
    none = replace(bank.edge.per_address, per_second=0, burst=0)
    edited = replace(bank, edge=replace(bank.edge, per_address=none))
    node = Translation().node_snapshots(edited, passed_on())["gateway-0"]
    [refused] = await validator.validate(node.resources[Kind.EXTENSION].values())
    assert refused.name == "bp.filters.limit_address"
    assert refused.reason.startswith("Descriptors[0].TokenBucket.TokensPerFill: ")


async def test_secrets_are_not_read(validator: Validator) -> None:
    node = Translation().node_snapshots(mesh(), passed_on())["payments-0"]
    assert await validator.validate(node.resources[Kind.SECRET].values()) == []


async def test_a_closed_validator_leaves_no_file(tmp_path: Path) -> None:
    made = Validator(tmp_path / "validation")
    await made.start()
    assert list((tmp_path / "validation").iterdir())
    await made.close()
    assert not list((tmp_path / "validation").iterdir())


async def test_resources_that_only_conflict_with_each_other_are_refused(
    validator: Validator,
) -> None:
    """Such as two listeners with one address: each of them alone is valid."""
    one = next(each for each in every_resource() if each.kind is Kind.LISTENER)
    (refused,) = await validator.validate([one, pack(Kind.LISTENER, "other", one.body)])
    assert (refused.kind, refused.name) == ("resources", "together")
    assert "duplicate address" in refused.reason


def _file(folder: Path) -> None:
    folder.write_text("in the place of the folder")


def _inner(folder: Path) -> None:
    (folder / "1.pb" / "inner").mkdir(parents=True)


def _link(folder: Path) -> None:
    target = folder.with_name("elsewhere")
    target.mkdir()
    (target / "kept").write_text("of another part")
    folder.symlink_to(target)


@pytest.mark.parametrize("placed", [_file, _inner, _link])
async def test_what_is_in_the_place_of_its_folder_does_not_prevent_the_start(
    tmp_path: Path, placed: Callable[[Path], None]
) -> None:
    """Regression: the control plane ended at each start."""
    placed(tmp_path / "validation")
    made = Validator(tmp_path / "validation")
    try:
        await made.start()
        assert await made.validate(every_resource()[:1]) == []
    finally:
        await made.close()
    if placed is _link:
        assert (tmp_path / "elsewhere" / "kept").exists()
