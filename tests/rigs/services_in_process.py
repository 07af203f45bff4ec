"""Services that run inside the test's process: in the background, with scaled deadlines."""

import asyncio
from collections.abc import AsyncGenerator, Coroutine, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

import pytest

from ops.waiting import scaled_s
from services import contracts


@dataclass(frozen=True)
class Running:
    """A service that runs: its settings and its store."""

    settings: Any
    store: Any


@asynccontextmanager
async def background(work: Coroutine[Any, Any, None]) -> AsyncGenerator[None]:
    """Run a coroutine concurrently with the body; re-raise its error after the body."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@contextmanager
def scaled_deadlines() -> Generator[None]:
    """Scale the methods' deadlines like those of the tests, for servers built in the body."""
    load = contracts.load

    def scaled(descriptor_set: bytes | None = None) -> dict[str, contracts.MethodContract]:
        return {
            path: replace(one, deadline_ms=int(scaled_s(one.deadline_ms)))
            for path, one in load(descriptor_set).items()
        }

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(contracts, "load", scaled)
        yield
