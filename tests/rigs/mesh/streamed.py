"""The proxies of a mesh that get everything by streams from a real discovery server."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mesh import ctl
from mesh.controlplane import model
from mesh.controlplane.deliver import files
from mesh.controlplane.deliver.cache import Cache
from mesh.controlplane.deliver.nodes import Translation
from mesh.controlplane.deliver.packed import NodeSnapshot
from mesh.controlplane.deliver.server import Server
from mesh.controlplane.ingest import endpoints
from mesh.controlplane.passed_on import PassedOn
from tests.rigs.mesh.proxies import Rig

SYNCED_S = 45.0
Nodes = Mapping[str, NodeSnapshot]


@dataclass
class StreamedRig(Rig):
    """A rig whose proxies have a stream; `serve` before `start`."""

    translation: Translation = field(default_factory=Translation)
    cache: Cache = field(default_factory=lambda: Cache(time.monotonic))

    def __post_init__(self) -> None:
        super().__post_init__()
        self.server = Server(self.cache)

    async def serve(self) -> None:
        """Start the server, publish the configuration and write the bootstraps for streams."""
        mesh, passed_on = self.resolved(self.config)
        workloads = [each.workload for each in mesh.sidecars] + [mesh.edge.workload]
        for each in workloads:
            socket = self._socket(each)
            await self.server.serve(each.node, socket)
            files.write_stream_bootstrap(each, socket, self.bootstrap(each.name))
        self.publish(self.translation.node_snapshots(mesh, passed_on))

    def _socket(self, workload: model.Workload) -> Path:
        return self.home / "run" / workload.name / "ads.sock"

    def resolved(self, config: Path) -> tuple[model.Mesh, PassedOn]:
        """Return the model of a config folder."""
        return ctl.load_mesh(config, endpoints.read(self.home / "mesh" / "endpoints.json"))

    def nodes(self, config: Path) -> Nodes:
        """Return the snapshots of a config folder, and publish nothing."""
        return self.translation.node_snapshots(*self.resolved(config))

    def publish(self, nodes: Nodes) -> None:
        """Publish the snapshots of all nodes."""
        for each in nodes.values():
            self.cache.publish(each)

    async def synced(self, nodes: Nodes) -> None:
        """Wait until every running proxy has acknowledged its snapshot."""
        wanted = {
            node: each.version
            for node, each in nodes.items()
            if node.removesuffix("-0") in self.envoys
        }
        for node, status in (await self.cache.wait_synced(wanted, SYNCED_S)).items():
            assert status.acked == wanted[node], status

    async def close(self) -> None:
        """Stop the proxies and the server, and remove the folder."""
        await asyncio.gather(
            *(self.kill(name) for name, each in self.envoys.items() if each.returncode is None)
        )
        await self.server.close()
        await super().close()
