"""The only wiring of the router: a health server and the pipe in its thread."""

import asyncio
import threading

from services.chassis import kafka
from services.chassis.grpc_server import Server
from services.router.pipe import Pipe
from services.router.settings import Settings


async def main(settings: Settings, stop: asyncio.Event) -> None:
    """Route until `stop`; a pipe that dies takes the process with it, to be started anew."""
    stopping = threading.Event()
    pipe = Pipe(settings, stopping, kafka.Health())
    server = Server(settings, {})
    await server.start()
    routing = asyncio.create_task(asyncio.to_thread(pipe.run))
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait({routing, stopped}, return_when=asyncio.FIRST_COMPLETED)
    stopping.set()
    await server.drain()
    await routing
