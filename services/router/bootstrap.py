"""The only wiring of the router: a health server, the pipe in its thread, its watchdog, and the
deletion of old records that every group has read.
"""

import asyncio
import threading
from datetime import timedelta
from functools import partial

from services.chassis import kafka
from services.chassis.grpc_server import Server
from services.chassis.kafka.membership import end_process
from services.chassis.periodic import repeat
from services.router.pipe import CALL_TIMEOUT_S, Pipe
from services.router.settings import TRIMMED, RouterSettings

STUCK_S = 2.5 * CALL_TIMEOUT_S
WATCH_S = 1.0
TRIM_S = 3600


async def _watch(pipe: Pipe) -> None:
    """End the process when the client does not return from a call within its timeout.

    The next process fences this one and aborts its transaction, as after a crash.
    """
    begun: float | None = None
    looks = 0
    while True:
        await asyncio.sleep(WATCH_S)
        # Counts checks instead of reading a clock: a paused process makes no checks.
        last, begun = begun, pipe.call_begun()
        looks = 0 if begun is None or begun != last else looks + 1
        if looks * WATCH_S > STUCK_S:
            end_process("router.client_stuck", looks * WATCH_S)


async def main(settings: RouterSettings, stop: asyncio.Event) -> None:
    """Route until `stop`; a pipe that fails ends the process, and its supervisor restarts it."""
    stopping = threading.Event()
    pipe = Pipe(settings, stopping, kafka.Health())
    server = Server(settings, {})
    await server.start()
    trimmer = kafka.Trimmer(settings.kafka_bootstrap, timedelta(days=settings.topic_margin_days))
    trim = partial(trimmer.trim, TRIMMED)
    watching = asyncio.create_task(_watch(pipe))
    trimming = asyncio.create_task(repeat("trimming", trim, TRIM_S))
    routing = asyncio.create_task(asyncio.to_thread(pipe.run))
    stopped = asyncio.create_task(stop.wait())
    done, _ = await asyncio.wait({routing, trimming, stopped}, return_when=asyncio.FIRST_COMPLETED)
    stopping.set()
    await server.drain()
    await routing
    watching.cancel()
    trimming.cancel()
    if trimming in done:
        # A bug; its task raises it again.
        await trimming
