"""The load generator against a server that closes unused connections, as a gateway does."""

from __future__ import annotations

import asyncio
import ssl
import time
from pathlib import Path

import pytest

from lab.bench.load import generator
from sandbox.partners import ca
from tests.rigs.host_speed import waited_out_s

CONNECTIONS = 6
CONTENT = b'{"transferId":"019b0000-0000-7000-8000-000000000000"}'
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(CONTENT), CONTENT)


USED = CONNECTIONS // 2
"""Number of connections that have been used when the server closes the others."""


class _Gateway:
    """Answers every request. At request `USED` it closes the unused connections; after the tenth
    request it is slow."""

    def __init__(self) -> None:
        self._unused: set[asyncio.StreamWriter] = set()
        self._requests = 0
        self.closed = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        self._unused.add(writer)
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                self._unused.discard(writer)
                self._requests += 1
                if self._requests == USED:
                    self._close_unused()
                if self._requests > 10:
                    await asyncio.sleep(0.2)
                writer.write(ANSWER)
        except asyncio.IncompleteReadError:
            pass
        finally:
            self._unused.discard(writer)
            writer.close()

    def _close_unused(self) -> None:
        for other in list(self._unused):
            other.close()
            self.closed += 1


def moments(_per_s: float, _seconds: float) -> list[float]:
    """Return arrivals on half of the connections, then a pause, then more than the server can
    handle. In the pause even a slow host sees which connections were closed."""
    pause_s = waited_out_s(0.3)
    return [*[0.0] * USED, *(pause_s + 0.05 * number for number in range(30))]


async def test_a_connection_that_the_server_closed_is_not_used_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generator.arrivals, "poisson", moments)
    ca.write_all(tmp_path, "bench")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "ach.pem", tmp_path / "ach.key")
    gateway = _Gateway()
    server = await asyncio.start_server(gateway.serve, "127.0.0.1", 0, ssl=context)
    measured_from = list[float]()
    async with server:
        port = server.sockets[0].getsockname()[1]
        plan = _plan(port, ca.authority_file(tmp_path, "ach"))
        outcome = await generator.drive(plan, lambda: measured_from.append(time.time()))
    assert [at - outcome.begin_time > plan.warm_up_s / 2 for at in measured_from] == [True]
    assert gateway.closed == CONNECTIONS - USED
    assert outcome.sent == USED + 30
    assert (outcome.accepted, outcome.unanswered, outcome.refused) == (outcome.sent, 0, {})


def _plan(port: int, authority: Path) -> generator.Plan:
    return generator.Plan(
        host="127.0.0.1",
        port=port,
        ca_file=str(authority),
        connections=CONNECTIONS,
        warm_up_s=0.2,
        seconds=1.8,
        key_prefix="any",
        heads=["GET / HTTP/1.1\r\nidempotency-key: "],
        bodies=[""],
        rate=20.0,
    )
