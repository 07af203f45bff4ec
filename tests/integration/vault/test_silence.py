"""Calls of OpenBao end in time, and calls that wait for it leave the process's threads free."""

import asyncio
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from ops.waiting import scaled_s, until
from services.chassis.settings import ServiceSettings
from services.chassis.vault import THREADS_MAX, Vault, VaultUnavailable

CALLS = 5 * THREADS_MAX
SOON_S = 0.3
LATE_S = 60.0


@dataclass
class SilentServer:
    """A server that accepts connections and answers nothing until it stops."""

    port: int = 0
    connections: int = 0

    def session(self, answer_within_s: float) -> Vault:
        """A session of auth with this server."""
        settings = ServiceSettings.model_validate(
            {
                "service": "auth",
                "home": Path("unused"),
                "socket_in": Path("unused"),
                "openbao_addr": f"http://127.0.0.1:{self.port}",
                "service_account_token_file": Path("unused"),
            }
        )
        return Vault(settings, answer_within_s=answer_within_s)


@asynccontextmanager
async def silent_server() -> AsyncGenerator[SilentServer]:
    """Run a silent server; at its end it closes its connections."""
    stopping = asyncio.Event()
    running = SilentServer()

    async def wait(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        running.connections += 1
        await stopping.wait()
        writer.close()

    server = await asyncio.start_server(wait, "127.0.0.1", 0)
    running.port = server.sockets[0].getsockname()[1]
    try:
        yield running
    finally:
        stopping.set()
        server.close()
        await server.wait_closed()


async def test_more_calls_than_threads_all_report_that_the_server_does_not_answer() -> None:
    async with silent_server() as server:
        vault = server.session(SOON_S)
        calls = (vault.write("transit/encrypt/any", {}) for _ in range(CALLS))
        answers = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(answer) for answer in answers] == [VaultUnavailable] * CALLS


async def test_the_threads_of_the_process_stay_free_while_the_server_does_not_answer() -> None:
    """The process has as many threads as a session of OpenBao; by default, more on many cores."""
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS_MAX))
    async with silent_server() as server:
        vault = server.session(LATE_S)

        async def all_threads_wait() -> bool:
            return server.connections == THREADS_MAX

        calls = [asyncio.create_task(vault.secret("any")) for _ in range(THREADS_MAX)]
        await until(all_threads_wait, 20, "each thread waits for an answer")
        async with asyncio.timeout(scaled_s(20)):
            assert await asyncio.to_thread(lambda: "free") == "free"
        assert not any(call.done() for call in calls)
    await asyncio.gather(*calls, return_exceptions=True)
