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

from tests.chaos.product.payments_that_stops import DEBIT

LOCKERS = 6
"""Transfers whose rows are held at the same time."""

Debited = Callable[[str], Awaitable[None]]


@dataclass
class Hold:
    """A commit to be caught: the next one, or all that come while it stands."""

    step: str
    when: str
    every: bool = False
    caught: list[asyncio.Future[str]] = field(default_factory=list)
    over: bool = False

    def wants(self, step: str, when: str) -> bool:
        """Whether this hit is to be held."""
        open_ = not self.over and (self.every or not self.caught)
        return open_ and (step, when) == (self.step, self.when)

    def release(self, word: str = "go") -> None:
        """Let go whoever is held, and hold nobody more."""
        self.over = True
        for one in self.caught:
            if not one.done():
                one.set_result(word)


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

    def hold(self, step: str, when: str, *, every: bool = False) -> Hold:
        """Catch a commit from now on."""
        self.holds.append(Hold(step, when, every))
        return self.holds[-1]

    async def word_for(self, hit: dict[str, Any]) -> str:
        """Return what a process is told, when it is time."""
        step, when = hit["step"], hit["when"]
        self.hits += 1
        if hit["done"]:
            self.made[step, when] += 1
        if (step, when) == (DEBIT, "after") and not self.transfer_id:
            self.transfer_id = hit["transfer"]
            await self.on_debit(self.transfer_id)
        hold = next((h for h in self.holds if h.wants(step, when)), None)
        if hold is None:
            return "go"
        hold.caught.append(asyncio.get_running_loop().create_future())
        return await hold.caught[-1]


@dataclass
class Gate:
    """All watches, and the processes that ask."""

    watches: dict[str, Watch] = field(default_factory=dict)
    lockers: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(LOCKERS))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers: set[asyncio.Task[None]] = set()
        while line := await reader.readline():
            task = asyncio.create_task(self._answer(json.loads(line), writer))
            answers.add(task)
            task.add_done_callback(answers.discard)
        # The process is gone, and with it whoever waits for a word.
        for task in answers:
            task.cancel()
        writer.close()

    async def _answer(self, hit: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        watch = self.watches.get(hit["memo"])
        word = await watch.word_for(hit) if watch is not None else "go"
        writer.write(json.dumps({"number": hit["number"], "word": word}).encode() + b"\n")


@asynccontextmanager
async def gate_at(socket: Path) -> AsyncGenerator[Gate]:
    """Listen for payments."""
    gate = Gate()
    socket.unlink(missing_ok=True)
    server = await asyncio.start_unix_server(gate._serve, socket)
    try:
        yield gate
    finally:
        server.close()
