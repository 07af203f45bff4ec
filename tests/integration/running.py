"""Helpers around services that run inside the test's process."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

import pytest

from sandbox.waiting import scaled_s
from services.chassis import contracts


@dataclass(frozen=True)
class Running:
    """A service that runs: its settings and its store."""

    settings: Any
    store: Any


@asynccontextmanager
async def background(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run a coroutine beside the body; its failure fails the body's end."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@contextmanager
def scaled_deadlines() -> Generator[None]:
    """Scale the methods' deadlines for servers that are built meanwhile, as the tests' own."""
    load = contracts.load

    def scaled(descriptor_set: bytes | None = None) -> dict[str, contracts.MethodContract]:
        return {
            path: replace(one, deadline_ms=int(scaled_s(one.deadline_ms)))
            for path, one in load(descriptor_set).items()
        }

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(contracts, "load", scaled)
        yield
