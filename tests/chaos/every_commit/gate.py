"""Where a test meets payments at a commit: it sees each one come, and holds those it wants.

The other end is payments_that_stops.py. Whatever no hold waits for goes on at once.
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
"""Transfers whose rows are held at the same time."""

Debited = Callable[[str], Awaitable[None]]


@dataclass
class Caught:
    """One call that is held at its commit until it has its word, or has given up by itself."""

    worker: str
    word: asyncio.Future[str]

    def let_go(self, word: str = "go") -> None:
        """Tell it what to do; of several words the first counts."""
        if not self.word.done():
            self.word.set_result(word)


@dataclass
class Hold:
    """A commit to be caught: the next one, or all that come while it stands."""

    step: str
    when: str
    every: bool = False
    caught: list[Caught] = field(default_factory=list)
    over: bool = False

    @property
    def waiting(self) -> list[Caught]:
        """Those that are held now, the first first."""
        return [one for one in self.caught if not one.word.done()]

    def wants(self, step: str, when: str) -> bool:
        """Whether this hit is to be held."""
        open_ = not self.over and (self.every or not self.caught)
        return open_ and (step, when) == (self.step, self.when)

    def release(self, word: str = "go") -> None:
        """Let go whoever is held, and hold nobody more."""
        self.over = True
        for one in self.caught:
            one.let_go(word)


@dataclass
class Watch:
    """What is seen of one transfer, known by its memo."""

    on_debit: Debited
    """Awaited with the transfer's id before anybody goes on from the debit."""
    transfer_id: str = ""
    holds: list[Hold] = field(default_factory=list)
    made: Counter[tuple[str, str]] = field(default_factory=Counter)
    """How often each step was about to be committed, and was."""
    hits: int = 0
    silent: Counter[str] = field(default_factory=Counter)
    """Questions that the clearing house will not answer: they time out soon."""

    def hold(self, step: str, when: str, *, every: bool = False) -> Hold:
        """Catch a commit from now on."""
        self.holds.append(Hold(step, when, every))
        return self.holds[-1]

    def open(self) -> None:
        """Hold nobody any more."""
        for hold in self.holds:
            hold.release()

    async def word_for(self, hit: dict[str, Any]) -> str:
        """Return what a process is told, when it is time."""
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
    """The words for one worker.

    Words that are given at the same time go in one message, and the worker acts on all of them
    before it does anything else: those that are let go together go on together, however slow the
    host is.
    """

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._words: list[tuple[int, str]] = []

    def say(self, number: int, word: str) -> None:
        """Send a word, with all others that are given now."""
        if not self._words:
            asyncio.get_running_loop().call_soon(self._send)
        self._words.append((number, word))

    def _send(self) -> None:
        words, self._words = self._words, []
        _say(self._writer, {"words": words})


@dataclass
class Gate:
    """All watches, and the processes that ask."""

    watches: dict[str, Watch] = field(default_factory=dict)
    lockers: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(LOCKERS))
    _lines: dict[str, asyncio.StreamWriter] = field(default_factory=dict)

    def open(self) -> None:
        """Hold nobody any more, whoever it is."""
        for watch in self.watches.values():
            watch.open()

    def have_a_look(self, *, not_by: str) -> None:
        """Have every worker but one look for what is due now, and not in a second."""
        for worker, line in self._lines.items():
            if worker != not_by:
                _say(line, {"look": True})

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one worker until it is gone."""
        worker: str = json.loads(await reader.readline())["worker"]
        self._lines[worker] = writer
        words = Words(writer)
        answers: dict[int, asyncio.Task[None]] = {}
        while line := await reader.readline():
            hit = json.loads(line)
            number = hit["number"]
            if hit.get("gone"):
                # Its caller's time was over: nobody is held there any more.
                if number in answers:
                    answers[number].cancel()
                continue
            task = asyncio.create_task(self._answer({**hit, "worker": worker}, words))
            answers[number] = task
            task.add_done_callback(lambda _, number=number: answers.pop(number, None))
        # The process is gone, and with it whoever waits for a word.
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
