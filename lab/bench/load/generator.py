"""The load generator: keep-alive TLS connections that send in a closed loop or at planned moments.

It runs in a separate process, so its CPU is measured separately from the bank's. Requests are built
before the run and answers are barely parsed, because the generator shares its two cores with the
bank. It takes two file names: a `Plan` to read and an `Outcome` to write, both JSON. It reports the
beginning of the measured time on its standard output. SIGTERM ends the measured time early.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import ssl
import sys
import time
from array import array
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import orjson
import uvloop

from lab.bench import series
from lab.bench.load import arrivals
from ops.waiting import scaled_s

MEASURING = b"measuring\n"
"""The generator writes this to its standard output when the warm-up has ended."""
GRACE_S = 15.0
"""How long the generator waits for answers after the last request."""

_HEAD_END = b"\r\n\r\n"
_LENGTH = b"content-length: "
_ID = b'"transferId":'
_REFUSALS_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Plan:
    """One run of load."""

    host: str
    port: int
    ca_file: str
    connections: int
    warm_up_s: float
    """Answers in this time count as transfers but not in the figures."""
    seconds: float
    """Length of the measured time, after the warm-up, unless SIGTERM ends it."""
    key_prefix: str
    """An idempotency key is this prefix and a number."""
    heads: list[str]
    """Each request up to the value of its idempotency key …"""
    bodies: list[str]
    """… and its body. The generator sends the requests in order and then starts over."""
    rate: float = 0.0
    """Arrivals a second, independent of the answers. 0: a closed loop."""
    slice_s: float = 1.0
    """Length of a slice of time in the outcome."""
    later_heads: list[list[str]] = field(default_factory=list[list[str]])
    """Lists of heads with new tokens, which replace the previous heads in order …"""
    heads_s: float = 0.0
    """… each after this many seconds."""


@dataclass(slots=True)
class Outcome:
    """The result of a plan. Times are Unix seconds; latencies are sorted milliseconds."""

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
    slices: list[series.Slice] = field(default_factory=list[series.Slice])
    """From the start to the planned end, including the warm-up."""
    late: int = 0
    """Answers that came after the last slice."""


@dataclass(slots=True)
class _Run:
    """State that the connections share."""

    plan: Plan
    requests: list[tuple[bytes, bytes]]
    until: float = 0.0
    sent: int = 0
    in_flight: int = 0
    over: bool = False
    """True when no further request is to be sent."""
    free: deque[_Connection] = field(default_factory=lambda: deque["_Connection"]())
    """Free connections, oldest first, so that none idles until the gateway closes it."""
    late: deque[float] = field(default_factory=lambda: deque[float]())
    """In an open run: the planned moments of requests that wait for a connection."""
    idle: asyncio.Event = field(default_factory=asyncio.Event)
    begun: array[float] = field(default_factory=lambda: array("d"))
    took: array[float] = field(default_factory=lambda: array("d"))
    ids: list[str] = field(default_factory=list[str])
    refused: Counter[str] = field(default_factory=Counter[str])
    shown: list[str] = field(default_factory=list[str])

    def end_early(self) -> None:
        """End the measured time now: send no further request, and wait for the answers."""
        self.until = min(self.until, time.perf_counter())
        self.over = True
        self.settle()

    def settle(self) -> None:
        """End the run when no request is pending."""
        if self.over and not self.in_flight and not self.late:
            self.idle.set()

    def use(self, heads: list[str]) -> None:
        """Replace the heads of the requests."""
        bodies = [body for _, body in self.requests]
        self.requests = [(head.encode(), body) for head, body in zip(heads, bodies, strict=True)]

    def next_request(self) -> bytes:
        number = self.sent
        self.sent = number + 1
        self.in_flight += 1
        head, body = self.requests[number % len(self.requests)]
        return b"%s%s-%07d\r\n\r\n%s" % (head, self.plan.key_prefix.encode(), number, body)

    def answered(self, status: bytes, content: bytes, begun: float) -> None:
        now = time.perf_counter()
        self.in_flight -= 1
        if status != b"200":
            self.refused[status.decode()] += 1
            if len(self.shown) < _REFUSALS_SHOWN:
                self.shown.append(content[:600].decode(errors="replace"))
            return
        self.begun.append(begun)
        self.took.append(now - begun)
        at = content.find(_ID) + len(_ID)
        quote = content.find(b'"', at) + 1
        self.ids.append(content[quote : quote + 36].decode())

    def after(self, connection: _Connection) -> None:
        """Choose the next request for a connection after an answer."""
        if not self.plan.rate:
            now = time.perf_counter()
            if now < self.until:
                connection.send(now)
                return
            self.over = True
        elif self.late:
            connection.send(self.late.popleft())
            return
        else:
            self.free.append(connection)
        self.settle()

    def arrive(self, moment: float) -> None:
        """Send a request of an open run, or queue it. Its latency counts from `moment`."""
        if self.free:
            self.free.popleft().send(moment)
        else:
            self.late.append(moment)


class _Connection(asyncio.Protocol):
    """One connection: it sends a request, reads the answer, and repeats."""

    def __init__(self, run: _Run) -> None:
        self._run = run
        self._received = b""
        self._begun = 0.0
        self._waiting = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def send(self, begun: float) -> None:
        """Send the next request. Its latency counts from `begun`."""
        self._begun = begun
        self._waiting = True
        self._transport.write(self._run.next_request())

    def data_received(self, data: bytes) -> None:
        received = self._received + data if self._received else data
        end = received.find(_HEAD_END)
        if end < 0 or len(received) < (whole := end + 4 + _content_length(received, end)):
            self._received = received
            return
        self._received = b""
        self._waiting = False
        self._run.answered(received[9:12], received[end + 4 : whole], self._begun)
        self._run.after(self)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._waiting:
            self._waiting = False
            self._run.in_flight -= 1
            self._run.refused["connection lost"] += 1
            self._run.settle()
        with suppress(ValueError):
            self._run.free.remove(self)

    def close(self) -> None:
        """Close the connection, even if a request is in flight."""
        self._waiting = False
        self._transport.close()


def _content_length(received: bytes, end: int) -> int:
    at = received.find(_LENGTH, 0, end)
    if at < 0:
        raise ValueError(f"the answer has no content-length: {received[:end]!r}")
    return int(received[at + len(_LENGTH) : received.find(b"\r", at)])


async def drive(plan: Plan, measuring: Callable[[], object] = lambda: None) -> Outcome:
    """Run a plan to its end and return the outcome. Call `measuring` when the warm-up has ended."""
    requests = [
        (head.encode(), body.encode()) for head, body in zip(plan.heads, plan.bodies, strict=True)
    ]
    run = _Run(plan, requests)
    connections = await _connect(run)
    total_s = plan.warm_up_s + plan.seconds
    moments = arrivals.poisson(plan.rate, total_s) if plan.rate else []
    gc.collect()
    gc.freeze()
    begin_time, cpu = time.time(), time.process_time()
    begun = time.perf_counter()
    run.until = begun + total_s
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, run.end_early)
    loop.call_later(plan.warm_up_s, measuring)
    for number, heads in enumerate(plan.later_heads, start=1):
        loop.call_later(number * plan.heads_s, run.use, heads)
    with suppress(TimeoutError):
        async with asyncio.timeout(total_s + scaled_s(GRACE_S)):
            if plan.rate:
                run.free.extend(connections)
                await _arrivals(run, begun, moments)
            else:
                for connection in connections:
                    connection.send(time.perf_counter())
            await run.idle.wait()
    outcome = _outcome(run, begin_time, begun, cpu)
    for connection in connections:
        connection.close()
    return outcome


async def _connect(run: _Run) -> list[_Connection]:
    plan = run.plan
    context = ssl.create_default_context(cafile=plan.ca_file)
    loop = asyncio.get_running_loop()
    connections: list[_Connection] = []
    for _ in range(plan.connections):
        _, protocol = await loop.create_connection(
            lambda: _Connection(run), plan.host, plan.port, ssl=context
        )
        connections.append(protocol)
    return connections


async def _arrivals(run: _Run, begun: float, moments: list[float]) -> None:
    """Send at the planned moments. A request whose moment has passed is sent at once."""
    for moment in moments:
        wait_s = begun + moment - time.perf_counter()
        if wait_s > 0:
            await asyncio.sleep(wait_s)
        if run.over:
            break
        run.arrive(begun + moment)
    run.over = True
    run.settle()


def _outcome(run: _Run, begin_time: float, begun: float, cpu: float) -> Outcome:
    """Return the outcome. A closed loop counts the answers that came in the measured time. An open
    run counts the requests that were planned in it, even when their answer came later."""
    plan, first = run.plan, begun + run.plan.warm_up_s
    took_ms = [took * 1000 for took in run.took]
    ended = [start + took for start, took in zip(run.begun, run.took, strict=True)]
    placed = run.begun if plan.rate else ended
    measured = (ms for at, ms in zip(placed, took_ms, strict=True) if first <= at < run.until)
    since_start = [at - begun for at in ended]
    cut = series.slices(since_start, took_ms, plan.slice_s, run.until - begun)
    return Outcome(
        begin_time=begin_time,
        end_time=time.time(),
        sent=run.sent,
        accepted=len(run.ids),
        refused=dict(run.refused),
        refusals_shown=run.shown,
        unanswered=run.in_flight + len(run.late),
        measured_s=run.until - first,
        latencies_ms=sorted(measured),
        transfer_ids=run.ids,
        cpu_s=time.process_time() - cpu,
        slices=cut,
        late=sum(at >= len(cut) * plan.slice_s for at in since_start),
    )


def main() -> None:
    """Read the plan, run it, and write the outcome."""
    plan_file, outcome_file = map(Path, sys.argv[1:])
    plan = Plan(**orjson.loads(plan_file.read_bytes()))
    outcome = uvloop.run(drive(plan, lambda: os.write(sys.stdout.fileno(), MEASURING)))
    outcome_file.write_bytes(orjson.dumps(outcome))


if __name__ == "__main__":
    main()
