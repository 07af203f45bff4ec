"""Discovery clients that are no Envoys: one that refuses everything, and one that lies."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import grpc.aio

from mesh.controlplane.deliver.envelopes import message
from mesh.controlplane.deliver.packed import Kind
from mesh.controlplane.deliver.server import SERVICE

TEXT = "this proxy refuses everything"
_DELTA = f"/{SERVICE}/DeltaAggregatedResources"
_KINDS = (Kind.CLUSTER, Kind.LISTENER)


@dataclass
class Refuser:
    """A proxy that refuses every response; `alone` counts resources that came in their own one."""

    node: str
    socket: Path
    responses: int = 0
    versions: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    alone: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])

    async def run(self) -> None:
        """Connect, ask for all clusters and listeners, and refuse what comes until cancelled."""
        async with grpc.aio.insecure_channel(f"unix:{self.socket}") as channel:
            call = channel.stream_stream(_DELTA)()
            for kind in _KINDS:
                await call.write(_request(node={"id": self.node}, type_url=kind.value))
            while isinstance(data := await call.read(), bytes):
                await call.write(self._refusal(data))

    def _refusal(self, data: bytes) -> bytes:
        got = type(message("DeltaDiscoveryResponse")).FromString(data)
        named = [(str(each.name), str(each.version)) for each in got.resources]  # pyright: ignore
        self.responses += 1
        self.versions |= set(named)
        if len(named) == 1:
            self.alone[named[0]] += 1
        return _request(
            type_url=got.type_url,  # pyright: ignore
            response_nonce=got.nonce,  # pyright: ignore
            error_detail={"code": 13, "message": TEXT},
        )


async def refused(socket: Path, first: bytes) -> tuple[grpc.StatusCode, str]:
    """Send one first message; return how the server ends the stream."""
    async with grpc.aio.insecure_channel(f"unix:{socket}") as channel:
        call = channel.stream_stream(_DELTA)()
        await call.write(first)
        try:
            while isinstance(await call.read(), bytes):
                await asyncio.sleep(0)
        except grpc.aio.AioRpcError as error:
            return error.code(), error.details() or ""
        return grpc.StatusCode.OK, ""


def first_request(node: str) -> bytes:
    """Return a first request in the name of a node."""
    return _request(node={"id": node}, type_url=Kind.CLUSTER.value)


def _request(**fields: object) -> bytes:
    return message("DeltaDiscoveryRequest", **fields).SerializeToString()
