"""The process with many simulated proxies: each has a connection and a delta stream of its own.

A proxy asks for everything at its start and acknowledges every response at once. The standard input
has one line of JSON with the socket, the names of the proxies, and the names of the resources. One
line on the standard output says that all proxies have asked.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping
from typing import Any

import grpc.aio
import orjson

from mesh.controlplane.deliver.envelopes import message
from mesh.controlplane.deliver.order import INWARD, WILDCARD
from mesh.controlplane.deliver.packed import Kind
from mesh.controlplane.deliver.server import SERVICE

METHOD = f"/{SERVICE}/DeltaAggregatedResources"
ASKED = b"asked\n"
CONNECTING_MAX = 50
"""Proxies that connect at the same time."""
_OPTIONS = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", -1)]


async def proxy(
    socket: str, node: str, names: Mapping[str, list[str]], connecting: asyncio.Semaphore
) -> asyncio.Task[None]:
    """Connect, ask for everything, and return the task that acknowledges what comes."""
    channel = grpc.aio.insecure_channel(f"unix:{socket}", _OPTIONS)
    async with connecting:
        call: Any = channel.stream_stream(METHOD)()
        for kind in INWARD:
            if kind.value in names:
                wanted = [] if kind in WILDCARD else names[kind.value]
                await call.write(_request(kind, node, wanted))
    return asyncio.create_task(_acknowledge(call, channel))


async def _acknowledge(call: Any, channel: grpc.aio.Channel) -> None:
    """Acknowledge every response until the server ends the stream."""
    response: Any = type(message("DeltaDiscoveryResponse"))
    async with channel:
        try:
            while isinstance(data := await call.read(), bytes):
                got = response.FromString(data)
                ack = message(
                    "DeltaDiscoveryRequest", type_url=got.type_url, response_nonce=got.nonce
                )
                await call.write(ack.SerializeToString())
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            return


def _request(kind: Kind, node: str, names: list[str]) -> bytes:
    return message(
        "DeltaDiscoveryRequest",
        node={"id": node},
        type_url=kind.value,
        resource_names_subscribe=names,
    ).SerializeToString()


async def run(socket: str, nodes: list[str], names: Mapping[str, list[str]]) -> None:
    """Simulate the proxies until the server ends their streams."""
    connecting = asyncio.Semaphore(CONNECTING_MAX)
    tasks = await asyncio.gather(*(proxy(socket, each, names, connecting) for each in nodes))
    os.write(sys.stdout.fileno(), ASKED)
    await asyncio.gather(*tasks)


if __name__ == "__main__":
    given = orjson.loads(sys.stdin.readline())
    asyncio.run(run(given["socket"], given["nodes"], given["names"]))
