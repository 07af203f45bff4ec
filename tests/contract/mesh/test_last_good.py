"""A proxy starts without a control plane from the files that were written when it was well."""

from pathlib import Path

import grpc.aio
import pytest
from bp.customers.v1 import customers_service_pb2 as customers
from bp.customers.v1 import customers_service_pb2_grpc as customers_grpc

from mesh import ctl
from mesh.controlplane import model
from mesh.controlplane.deliver import files
from mesh.controlplane.deliver.snapshot import sidecar_snapshot
from mesh.controlplane.ingest import endpoints
from tests.rigs.mesh.proxies import Rig
from tests.rigs.mesh.upstream import Customers, Seen, serve


class _LastGood(Rig):
    def bootstrap(self, name: str) -> Path:
        return self.folder(name) / "bootstrap.json"

    def folder(self, name: str) -> Path:
        """Return the folder with the last good files of a proxy."""
        return self.home / "envoy" / f"{name}-0" / "last-good"

    def write_last_good(self) -> list[Path]:
        """Write the last good files of every sidecar; return what changed."""
        known = endpoints.read(self.home / "mesh" / "endpoints.json")
        mesh, passed_on = ctl.load_mesh(self.config, known)

        def folder_of(workload: model.Workload) -> Path:
            return self.folder(workload.name)

        source_of = files.secret_files_in(folder_of)
        return [
            path
            for each in mesh.sidecars
            for path in files.write_last_good(
                sidecar_snapshot(each, passed_on, source_of), folder_of(each.workload)
            )
        ]


@pytest.mark.timeout(180)
async def test_proxies_start_from_their_last_good_files() -> None:
    rig, seen = _LastGood(), Seen()
    assert rig.write_last_good()
    assert rig.write_last_good() == []
    server = await serve(rig.socket_in("customers"), Customers(seen))
    try:
        await rig.start(["payments", "customers"])
        options = [("grpc.default_authority", "customers")]
        async with grpc.aio.insecure_channel(
            f"unix:{rig.socket_out('payments')}", options
        ) as channel:
            stub = customers_grpc.CustomersServiceStub(channel)
            await stub.CheckDebit(customers.CheckDebitRequest())
        assert seen.calls == 1
    finally:
        await rig.close()
        await server.stop(None)
