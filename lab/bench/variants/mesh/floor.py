"""What grpc.aio alone costs: one message on each of many streams, and one answer to each.

No push can cost less, however little the control plane does. `python -m` on this module prints the
CPU of the serving process for each round, next to the host's slowness. A change of one cluster at
all proxies needs two such rounds, because Envoy needs the endpoints of a changed cluster again.
"""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import sys
import tempfile
from pathlib import Path
from typing import Any, cast

import grpc
import grpc.aio

from lab.bench.meters import yardstick

STREAMS, ROUNDS, MESSAGE_BYTES, ANSWER_BYTES = 1_000, 5, 1_800, 90
SERVICE, METHOD = "floor.Floor", "Stream"
CLIENTS = "clients"
"""The argument with which the module runs as the process of all clients."""


class _Server:
    def __init__(self) -> None:
        self._contexts: list[Any] = []
        self._missing = 0
        self._answered, self._open = asyncio.Event(), asyncio.Event()

    async def stream(self, _requests: Any, context: Any) -> None:
        """Note the stream, and count its answers."""
        await context.read()
        self._contexts.append(context)
        if len(self._contexts) == STREAMS:
            self._open.set()
        while isinstance(await context.read(), bytes):
            self._missing -= 1
            if not self._missing:
                self._answered.set()

    async def opened(self) -> None:
        """Wait until all streams are open."""
        await self._open.wait()

    async def round(self) -> float:
        """Write one message on each stream; return the CPU until the last answer."""
        self._missing = STREAMS
        self._answered.clear()
        gc.collect()
        before, message = _cpu_s(), os.urandom(MESSAGE_BYTES)
        await asyncio.gather(*(each.write(message) for each in self._contexts))
        await self._answered.wait()
        return _cpu_s() - before


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def _serve(path: Path) -> None:
    made, server = _Server(), grpc.aio.server()
    method = grpc.stream_stream_rpc_method_handler(cast(Any, made.stream))
    handler = grpc.method_handlers_generic_handler(SERVICE, {METHOD: method})
    server.add_generic_rpc_handlers((handler,))
    server.add_insecure_port(f"unix:{path}")
    await server.start()
    module = __spec__.name if __spec__ else __name__
    clients = await asyncio.create_subprocess_exec(sys.executable, "-m", module, CLIENTS, str(path))
    try:
        await made.opened()
        for _ in range(ROUNDS):
            slow = yardstick.slowness()
            cpu_s = await made.round()
            print(f"{cpu_s:.3f} s of CPU, host {slow:.2f} times slower than the documented one")
    finally:
        clients.kill()
        await clients.wait()
        await server.stop(0)


async def _answer(path: str) -> None:
    async with grpc.aio.insecure_channel(
        f"unix:{path}", [("grpc.use_local_subchannel_pool", 1)]
    ) as channel:
        call: Any = channel.stream_stream(f"/{SERVICE}/{METHOD}")()
        await call.write(b"begin")
        while isinstance(await call.read(), bytes):
            await call.write(bytes(ANSWER_BYTES))


async def _clients(path: str) -> None:
    await asyncio.gather(*(_answer(path) for _ in range(STREAMS)))


if __name__ == "__main__":
    if sys.argv[1:2] == [CLIENTS]:
        asyncio.run(_clients(sys.argv[2]))
    else:
        with tempfile.TemporaryDirectory(prefix="bp-floor-") as folder:
            asyncio.run(_serve(Path(folder) / "floor.sock"))
