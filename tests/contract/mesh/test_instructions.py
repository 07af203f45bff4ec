"""A sidecar takes no instructions from its own service, and none from a caller.

Envoy drops the headers of calls from outside, and no address counts as inside.
"""

import grpc.aio
from bp.customers.v1 import customers_service_pb2 as customers
from bp.customers.v1 import customers_service_pb2_grpc as customers_grpc

from tests.contract.mesh.conftest import Mesh
from tests.contract.mesh.test_identity import direct
from tests.rigs.mesh.proxies import identity

CHECK = customers.CheckDebitRequest(customer_id="a", account_id="b")
STAT = "of-the-caller"
INSTRUCTIONS = (
    ("x-envoy-retry-on", "retriable-status-codes"),
    ("x-envoy-retriable-status-codes", "200"),
    ("x-envoy-max-retries", "5"),
    ("x-envoy-upstream-alt-stat-name", STAT),
    ("x-forwarded-for", "10.0.0.1"),
)
"""Repeat an executed call; add counters, which Envoy never forgets, with a name of the caller."""


async def _called(mesh: Mesh, channel: grpc.aio.Channel) -> int:
    """Make one call with instructions; return how often the service executed it."""
    before = mesh.seen.calls
    await customers_grpc.CustomersServiceStub(channel).CheckDebit(CHECK, metadata=INSTRUCTIONS)
    assert not [name for name in mesh.seen.metadata if name.startswith("x-envoy-")]
    return mesh.seen.calls - before


async def test_a_service_cannot_tell_its_sidecar_to_repeat_a_call(mesh: Mesh) -> None:
    async with mesh.channel("payments", "customers") as channel:
        assert await _called(mesh, channel) == 1
    assert not await mesh.rig.stats("payments", STAT)


async def test_a_caller_cannot_tell_the_sidecar_of_a_service_to_repeat_a_call(mesh: Mesh) -> None:
    folder = mesh.rig.home / "clients" / "payments"
    mesh.rig.mesh_ca.issue(folder, uri=identity("payments"))
    async with direct(mesh.rig, folder) as channel:
        assert await _called(mesh, channel) == 1
    assert not await mesh.rig.stats("customers", STAT)
