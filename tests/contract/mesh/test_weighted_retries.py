"""Envoy draws one of several destinations once: a retry stays there."""

import shutil
from typing import Any

import grpc
import grpc.aio
import pytest
from bp.customers.v1 import customers_service_pb2 as customers
from bp.customers.v1 import customers_service_pb2_grpc as customers_grpc

from mesh import ctl
from ops.waiting import scaled_s
from tests.rigs.mesh.proxies import Rig, free_port
from tests.rigs.mesh.upstream import Customers, Seen, serve

HOST = "host: customers.bp.svc.cluster.local"
CALLS = 60


@pytest.mark.timeout(180)
async def test_a_retry_goes_to_no_other_destination_of_its_route() -> None:
    """One of the two subsets has no process. If a retry could draw the other, no call would fail,
    and a destination whose instances are chosen by a hash would get calls of other ones."""
    rig, seen = Rig(), Seen()
    config = rig.home / "config"
    shutil.copytree(ctl.CONFIG, config)
    path = config / "services" / "customers.yaml"
    subsets = (
        "subsets: [{name: here, labels: {version: '1'}}, {name: gone, labels: {version: '2'}}]"
    )
    each = f"{{destination: {{{HOST}, subset: here}}, weight: 50}}"
    text = path.read_text().replace(f"  {HOST}\n", f"  {HOST}\n  {subsets}\n")
    text = text.replace(f"[{{destination: {{{HOST}}}}}]", f"[{each}, {each}]")
    path.write_text("subset: gone".join(text.rsplit("subset: here", 1)))
    services: Any = rig.places["services"]
    place = services["customers"]
    gone = {"address": f"127.0.0.1:{free_port()}", "version": "2"}
    place["instances"] = [{"address": place.pop("mtls"), "version": "1"}, gone]
    server = await serve(rig.socket_in("customers"), Customers(seen))
    try:
        rig.render(config)
        await rig.start(["payments", "customers"])
        options = [("grpc.default_authority", "customers"), ("grpc.enable_retries", 0)]
        async with grpc.aio.insecure_channel(
            f"unix:{rig.socket_out('payments')}", options
        ) as channel:
            stub: Any = customers_grpc.CustomersServiceStub(channel)
            codes = [await _code(stub) for _ in range(CALLS)]
        stats = await rig.stats("payments", "upstream_rq_retry")
    finally:
        await rig.close()
        await server.stop(None)
    assert set(codes) == {grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE}
    assert stats["cluster.service/customers/gone.upstream_rq_retry"] > 0
    assert stats["cluster.service/customers/here.upstream_rq_retry"] == 0


async def _code(stub: Any) -> grpc.StatusCode:
    try:
        await stub.CheckDebit(customers.CheckDebitRequest(), timeout=scaled_s(20))
    except grpc.aio.AioRpcError as error:
        return error.code()
    return grpc.StatusCode.OK
