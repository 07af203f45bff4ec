"""The test's end of the gate: payments asks at each commit, and the test can hold the call.

The other end is payments_that_stops.py. A call that no hold matches continues at once.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.chaos.every_commit.payments_that_stops import DEBIT, SHORT

LOCKERS = 6
"""Transfers whose rows are locked at the same time."""

Debited = Callable[[str], Awaitable[None]]


@dataclass
class Caught:
    """A call that is held at its commit until the test answers, or until it is cancelled."""

    worker: str
    word: asyncio.Future[str]

    def let_go(self, word: str = "go") -> None:
        """Answer the call. Only the first answer counts."""
        if not self.word.done():
            self.word.set_result(word)


@dataclass
class Hold:
    """A hold at a commit: it catches the next call, or with `every` all calls until the release."""

    step: str
    when: str
    every: bool = False
    caught: list[Caught] = field(default_factory=list)
    over: bool = False

    @property
    def waiting(self) -> list[Caught]:
        """The calls that are held now, in order of arrival."""
        return [one for one in self.caught if not one.word.done()]

    def wants(self, step: str, when: str) -> bool:
        """Return whether this call must be held."""
        open_ = not self.over and (self.every or not self.caught)
        return open_ and (step, when) == (self.step, self.when)

    def release(self, word: str = "go") -> None:
        """Release all held calls, and hold no more."""
        self.over = True
        for one in self.caught:
            one.let_go(word)


@dataclass
class Watch:
    """The calls about one transfer, which is identified by its memo."""

    on_debit: Debited
    """Called with the transfer's id, and awaited before any call continues after the debit."""
    transfer_id: str = ""
    holds: list[Hold] = field(default_factory=list)
    made: Counter[tuple[str, str]] = field(default_factory=Counter)
    """How often each step reached "before", "after" and "failed" of its commit."""
    hits: int = 0
    silent: Counter[str] = field(default_factory=Counter)
    """Number of active faults by endpoint; requests to these endpoints get no answer and time out
    soon."""

    def hold(self, step: str, when: str, *, every: bool = False) -> Hold:
        """Start to hold calls at a commit."""
        self.holds.append(Hold(step, when, every))
        return self.holds[-1]

    def open(self) -> None:
        """Release all held calls about this transfer."""
        for hold in self.holds:
            hold.release()

    async def word_for(self, hit: dict[str, Any]) -> str:
        """Return the answer to a call, after holding the call if a hold matches."""
        step, when = hit["step"], hit["when"]
        if when == "asked":
            return SHORT if self.silent[step] else "go"
        self.hits += 1
        if hit["done"]:
            self.made[step, when] += 1
        if (step, when) == (DEBIT, "after") and not self.transfer_id:
            self.transfer_id = hit["transfer"]
            await self.on_debit(self.transfer_id)
        hold = next((h for h in self.holds if h.wants(step, when)), None)
        if hold is None:
            return "go"
        one = Caught(hit["worker"], asyncio.get_running_loop().create_future())
        hold.caught.append(one)
        return await one.word


class Words:
    """Sends the answers to one worker.

    Simultaneous answers go in one message, which the worker handles before anything else. So calls
    that are released together continue together on any host.
    """

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._words: list[tuple[int, str]] = []

    def say(self, number: int, word: str) -> None:
        """Send an answer in one message with all simultaneous answers."""
        if not self._words:
            asyncio.get_running_loop().call_soon(self._send)
        self._words.append((number, word))

    def _send(self) -> None:
        words, self._words = self._words, []
        _say(self._writer, {"words": words})


@dataclass
class Gate:
    """All watched transfers, and the connections to the workers."""

    watches: dict[str, Watch] = field(default_factory=dict)
    lockers: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(LOCKERS))
    _lines: dict[str, asyncio.StreamWriter] = field(default_factory=dict)

    def open(self) -> None:
        """Release all held calls about all transfers."""
        for watch in self.watches.values():
            watch.open()

    def have_a_look(self, *, not_by: str) -> None:
        """Make every worker but one look at once for transfers that are due or overdue."""
        for worker, line in self._lines.items():
            if worker != not_by:
                _say(line, {"look": True})

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one worker until it disconnects."""
        worker: str = json.loads(await reader.readline())["worker"]
        self._lines[worker] = writer
        words = Words(writer)
        answers: dict[int, asyncio.Task[None]] = {}
        while line := await reader.readline():
            hit = json.loads(line)
            number = hit["number"]
            if hit.get("gone"):
                # The call was cancelled, so it is no longer held.
                if number in answers:
                    answers[number].cancel()
                continue
            task = asyncio.create_task(self._answer({**hit, "worker": worker}, words))
            answers[number] = task
            task.add_done_callback(lambda _, number=number: answers.pop(number, None))
        # The process has ended, so its waiting calls are gone.
        for task in list(answers.values()):
            task.cancel()
        if self._lines.get(worker) is writer:
            del self._lines[worker]
        writer.close()

    async def _answer(self, hit: dict[str, Any], words: Words) -> None:
        watch = self.watches.get(hit["memo"])
        word = await watch.word_for(hit) if watch is not None else "go"
        words.say(hit["number"], word)


def _say(writer: asyncio.StreamWriter, what: dict[str, Any]) -> None:
    writer.write(json.dumps(what).encode() + b"\n")


@asynccontextmanager
async def gate_at(socket: Path) -> AsyncGenerator[Gate]:
    """Listen for payments."""
    gate = Gate()
    socket.unlink(missing_ok=True)
    server = await asyncio.start_unix_server(gate.serve, socket)
    try:
        yield gate
    finally:
        gate.open()
        server.close()
