"""The only wiring of the router: a health server, the pipe in its thread, a watch over it."""

import asyncio
import os
import threading

import structlog

from services.chassis import kafka
from services.chassis.grpc_server import Server
from services.router.pipe import CALL_TIMEOUT_S, Pipe
from services.router.settings import Settings

STUCK_S = 2.5 * CALL_TIMEOUT_S
WATCH_S = 1.0
EXIT_STUCK = 70

log = structlog.get_logger()


async def _watch(pipe: Pipe) -> None:
    """End the process when the client does not come back from a call within its time-out.

    A thread in a library cannot be ended otherwise. The next process fences and aborts what this
    one has under way, as after a crash.
    """
    while True:
        await asyncio.sleep(WATCH_S)
        if pipe.stuck_s() > STUCK_S:
            log.error("router.client_stuck", seconds=round(pipe.stuck_s()))
            os._exit(EXIT_STUCK)


async def main(settings: Settings, stop: asyncio.Event) -> None:
    """Route until `stop`; a pipe that dies takes the process with it, to be started anew."""
    stopping = threading.Event()
    pipe = Pipe(settings, stopping, kafka.Health())
    server = Server(settings, {})
    await server.start()
    watching = asyncio.create_task(_watch(pipe))
    routing = asyncio.create_task(asyncio.to_thread(pipe.run))
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait({routing, stopped}, return_when=asyncio.FIRST_COMPLETED)
    stopping.set()
    await server.drain()
    await routing
    watching.cancel()
