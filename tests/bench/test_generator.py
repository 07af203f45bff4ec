"""The load generator against an edge that closes connections, as one does with idle ones."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

from sandbox.bench import generator
from sandbox.partners import ca

CONNECTIONS = 6
CONTENT = b'{"transferId":"019b0000-0000-7000-8000-000000000000"}'
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(CONTENT), CONTENT)


class _Edge:
    """Answers; with its third request it closes what idles, and is slow for a while after."""

    def __init__(self) -> None:
        self._open: set[asyncio.StreamWriter] = set()
        self._requests = 0
        self.closed = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        self._open.add(writer)
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                self._requests += 1
                if self._requests == 3:
                    self._close_others(writer)
                if self._requests > 10:
                    await asyncio.sleep(0.2)
                writer.write(ANSWER)
        except asyncio.IncompleteReadError:
            pass
        finally:
            self._open.discard(writer)
            writer.close()

    def _close_others(self, writer: asyncio.StreamWriter) -> None:
        for other in list(self._open - {writer})[: CONNECTIONS // 2]:
            other.close()
            self.closed += 1


async def test_a_connection_that_the_edge_closed_is_not_used_again(tmp_path: Path) -> None:
    ca.write_all(tmp_path, "bench")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "ach.pem", tmp_path / "ach.key")
    edge = _Edge()
    server = await asyncio.start_server(edge.serve, "127.0.0.1", 0, ssl=context)
    async with server:
        port = server.sockets[0].getsockname()[1]
        outcome = await generator.drive(_plan(port, tmp_path / "ca.pem"))
    assert edge.closed == CONNECTIONS // 2
    assert outcome.sent > 20
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
