"""The load: N keep-alive connections over TLS, each sending its next request after an answer.

A process of its own, so that its CPU is told apart from the bank's. Requests are built before the
run and answers are hardly read, since every microsecond here is taken from the two cores that the
bank runs on. Started with two files: a `Plan` to read and an `Outcome` to write, both JSON.
"""

from __future__ import annotations

import asyncio
import gc
import ssl
import sys
import time
from array import array
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import orjson
import uvloop

GRACE_S = 15.0
"""How long answers are waited for after the last request."""

_HEAD_END = b"\r\n\r\n"
_LENGTH = b"content-length: "
_ID = b'"transferId":'
_REFUSALS_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Plan:
    """One run."""

    host: str
    port: int
    ca_file: str
    connections: int
    warm_up_s: float
    """Answers that come in this time count as transfers but not as figures."""
    seconds: float
    """How long is measured after the warm-up."""
    key_prefix: str
    """Idempotency keys are this and a number."""
    heads: list[str]
    """Requests up to the key's value …"""
    bodies: list[str]
    """… and what follows the empty line behind it. Taken in turn."""


@dataclass(slots=True)
class Outcome:
    """What came of it. Times are seconds of the wall clock, latencies milliseconds, sorted."""

    begin_time: float
    end_time: float
    sent: int
    accepted: int
    refused: dict[str, int]
    refusals_shown: list[str]
    unanswered: int
    measured_s: float
    latencies_ms: list[float]
    transfer_ids: list[str]
    cpu_s: float


@dataclass(slots=True)
class _Run:
    """What the connections share."""

    plan: Plan
    requests: list[tuple[bytes, bytes]]
    until: float = 0.0
    sent: int = 0
    open: int = 0
    idle: asyncio.Event = field(default_factory=asyncio.Event)
    ended: array[float] = field(default_factory=lambda: array("d"))
    took: array[float] = field(default_factory=lambda: array("d"))
    ids: list[str] = field(default_factory=list[str])
    refused: Counter[str] = field(default_factory=Counter[str])
    shown: list[str] = field(default_factory=list[str])

    def done(self) -> None:
        """Count a connection out."""
        self.open -= 1
        if not self.open:
            self.idle.set()

    def next_request(self) -> bytes:
        number = self.sent
        self.sent = number + 1
        head, body = self.requests[number % len(self.requests)]
        return b"%s%s-%07d\r\n\r\n%s" % (head, self.plan.key_prefix.encode(), number, body)

    def answered(self, status: bytes, content: bytes, begun: float) -> None:
        now = time.perf_counter()
        if status != b"200":
            self.refused[status.decode()] += 1
            if len(self.shown) < _REFUSALS_SHOWN:
                self.shown.append(content[:600].decode(errors="replace"))
            return
        self.ended.append(now)
        self.took.append(now - begun)
        at = content.find(_ID) + len(_ID)
        quote = content.find(b'"', at) + 1
        self.ids.append(content[quote : quote + 36].decode())


class _Connection(asyncio.Protocol):
    """One caller: a request, its answer, the next request."""

    def __init__(self, run: _Run) -> None:
        self._run = run
        self._received = b""
        self._begun = 0.0
        self._waiting = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def send(self) -> None:
        """Send the next request, or close when the time is over."""
        self._begun = time.perf_counter()
        if self._begun >= self._run.until:
            self._run.done()
            self._transport.close()
            return
        self._waiting = True
        self._transport.write(self._run.next_request())

    def data_received(self, data: bytes) -> None:
        received = self._received + data if self._received else data
        end = received.find(_HEAD_END)
        if end < 0 or len(received) < (whole := end + 4 + _content_length(received, end)):
            self._received = received
            return
        self._received = b""
        self._run.answered(received[9:12], received[end + 4 : whole], self._begun)
        self._waiting = False
        self.send()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._waiting:
            self._waiting = False
            self._run.refused["connection lost"] += 1
            self._run.done()


def _content_length(received: bytes, end: int) -> int:
    at = received.find(_LENGTH, 0, end)
    if at < 0:
        raise ValueError(f"an answer without length: {received[:end]!r}")
    return int(received[at + len(_LENGTH) : received.find(b"\r", at)])


async def drive(plan: Plan) -> Outcome:
    """Run a plan to its end."""
    requests = [
        (head.encode(), body.encode()) for head, body in zip(plan.heads, plan.bodies, strict=True)
    ]
    run = _Run(plan, requests)
    context = ssl.create_default_context(cafile=plan.ca_file)
    loop = asyncio.get_running_loop()
    connections: list[_Connection] = []
    for _ in range(plan.connections):
        _, protocol = await loop.create_connection(
            lambda: _Connection(run), plan.host, plan.port, ssl=context
        )
        connections.append(protocol)
    run.open = len(connections)
    gc.collect()
    gc.freeze()
    begin_time, cpu = time.time(), time.process_time()
    begun = time.perf_counter()
    run.until = begun + plan.warm_up_s + plan.seconds
    for connection in connections:
        connection.send()
    with suppress(TimeoutError):
        async with asyncio.timeout(plan.warm_up_s + plan.seconds + GRACE_S):
            await run.idle.wait()
    return _outcome(run, begin_time, begun, cpu)


def _outcome(run: _Run, begin_time: float, begun: float, cpu: float) -> Outcome:
    first = begun + run.plan.warm_up_s
    measured = sorted(
        took * 1000
        for ended, took in zip(run.ended, run.took, strict=True)
        if first <= ended < run.until
    )
    return Outcome(
        begin_time=begin_time,
        end_time=time.time(),
        sent=run.sent,
        accepted=len(run.ids),
        refused=dict(run.refused),
        refusals_shown=run.shown,
        unanswered=run.open,
        measured_s=run.plan.seconds,
        latencies_ms=measured,
        transfer_ids=run.ids,
        cpu_s=time.process_time() - cpu,
    )


def main() -> None:
    """Read the plan, run it, write the outcome."""
    plan_file, outcome_file = map(Path, sys.argv[1:])
    outcome = uvloop.run(drive(Plan(**orjson.loads(plan_file.read_bytes()))))
    outcome_file.write_bytes(orjson.dumps(outcome))


if __name__ == "__main__":
    main()
