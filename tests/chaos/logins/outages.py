"""Makes stores and processes of the bank unreachable for the length of a block."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from lab.chaos.breaking import family
from ops.provision.bao_client import BaoClient
from ops.waiting import until
from tests.rigs.running_bank import Bank

ENDS_WITHIN_S = 20


@asynccontextmanager
async def paused(bank: Bank, name: str) -> AsyncGenerator[None]:
    """Stop a process and its children by SIGSTOP: its connections stay open, without answers."""
    pid = bank.stack.pid(name)
    assert pid is not None
    held = family(pid)
    for each in held:
        os.kill(each, signal.SIGSTOP)
    try:
        yield
    finally:
        for each in held:
            os.kill(each, signal.SIGCONT)


@asynccontextmanager
async def stopped(bank: Bank, name: str) -> AsyncGenerator[None]:
    """Stop a process: connections to it are refused."""
    await asyncio.to_thread(bank.stack.stop, name)
    try:
        yield
    finally:
        await asyncio.to_thread(bank.stack.start, name)


@asynccontextmanager
async def sealed(bank: Bank) -> AsyncGenerator[None]:
    """Seal OpenBao: it refuses every call."""
    keys = json.loads(Path(bank.where["BP_OPENBAO_KEYS_FILE"]).read_text())
    async with BaoClient(bank.where["BP_OPENBAO_ADDR"], keys["root_token"]) as bao:
        await bao.write("sys/seal")
        try:
            yield
        finally:
            await bao.write("sys/unseal", key=keys["keys_base64"][0])


@asynccontextmanager
async def fails_in_background(bank: Bank) -> AsyncGenerator[None]:
    """Wait at the end of the block until work that no answer waits for has failed in it."""
    before = _background_failures(bank)
    yield

    async def more() -> bool:
        return await asyncio.to_thread(_background_failures, bank) > before

    await until(more, ENDS_WITHIN_S, "auth logs work that failed in the background")


def _background_failures(bank: Bank) -> int:
    return bank.stack.log("auth").count("background.failed")


async def killed(bank: Bank, name: str) -> None:
    """End a process with SIGKILL; return when its successor is ready."""
    pid = await asyncio.to_thread(bank.stack.kill, name)
    await asyncio.to_thread(bank.stack.wait_ready, name, not_pid=pid)


async def all_ready(bank: Bank) -> None:
    """Wait until every part is ready again."""

    async def well() -> bool:
        return not await asyncio.to_thread(bank.stack.ill)

    await until(well, ENDS_WITHIN_S, "every part of the bank is ready")


async def close_breakers(bank: Bank) -> None:
    """Close the circuit breakers of auth to its partners by a restart of its sidecar.

    tests/contract/mesh proves that time closes a breaker.
    """
    await asyncio.to_thread(bank.stack.restart, "auth-sidecar")
