"""Injects faults into a running stack by signals, graceful restarts and the partners' control APIs.

Each fault is undone when its time ends, and also when the run is interrupted: paused processes
continue and partners are repaired.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp

from lab.chaos.load import Load
from lab.chaos.schedule import CLEARING_HOUSE, PARTNER_FAULTS, Fault, Kind
from ops.waiting import until
from sandbox.client import Answer, BankClient

BURST_REQUESTS = 300
"""More than two batches of a service, and many times its database connections."""
DOUBLED = 40
LATENCY_MS = 1500
NOTICED_WITHIN_S = 10.0
REACHED_WITHIN_S = 20.0
"""An earlier fault may have killed the partner, so it may still be starting."""
PARTNER_KINDS = {
    Kind.LATENCY: "latency",
    Kind.HANG: "hang",
    Kind.RESET: "reset",
    Kind.HTTP_5XX: "http_5xx",
    Kind.ACCEPT_THEN_HANG: "accept_then_hang",
}


class Breaker:
    """Injects faults into one stack."""

    def __init__(self, bank: BankClient, load: Load) -> None:
        self._bank = bank
        self._load = load
        self._injections: dict[Kind, Callable[[Fault], Awaitable[str]]] = {
            Kind.KILL: self._kill,
            Kind.PAUSE: self._pause,
            Kind.RESTART: self._restart,
            **dict.fromkeys(PARTNER_FAULTS, self._break_partner),
            Kind.LATE_NOTICES: self._late_notices,
            Kind.DOUBLE_NOTICES: self._double_notices,
            Kind.BACKLOG: self._backlog,
            Kind.BURST: self._burst,
        }

    async def inject(self, fault: Fault) -> str:
        """Inject a fault, and end it when its time is up. Return a note for the report, or "" for
        none."""
        return await self._injections[fault.kind](fault)

    async def _kill(self, fault: Fault) -> str:
        stack, name = self._bank.stack, fault.target
        try:
            killed = await asyncio.to_thread(stack.kill, name)
        except RuntimeError:
            return "was already down"

        async def noticed() -> bool:
            return await asyncio.to_thread(stack.pid, name) != killed

        # Before that, the supervisor still reports the part as ready, so the bank seems healed.
        await until(noticed, NOTICED_WITHIN_S, f"the supervisor notices that {name} has ended")
        return ""

    async def _restart(self, fault: Fault) -> str:
        try:
            await asyncio.to_thread(self._bank.stack.restart, fault.target)
        except RuntimeError as error:
            return str(error).splitlines()[0]
        return ""

    async def _pause(self, fault: Fault) -> str:
        async with self._paused(fault.target) as held:
            await asyncio.sleep(fault.lasts_s)
        return "" if held else "was already down"

    async def _backlog(self, fault: Fault) -> str:
        async with self._paused(fault.target) as held:
            self._load.burst(BURST_REQUESTS // 3)
            await asyncio.sleep(fault.lasts_s)
        return "" if held else "was already down"

    async def _burst(self, fault: Fault) -> str:
        self._load.burst(BURST_REQUESTS)
        await asyncio.sleep(fault.lasts_s)
        return f"{BURST_REQUESTS} requests at once"

    @contextlib.asynccontextmanager
    async def _paused(self, name: str) -> AsyncGenerator[list[int]]:
        pid = await asyncio.to_thread(self._bank.stack.pid, name)
        held = [] if pid is None else family(pid)
        try:
            for member in held:
                _signal(member, signal.SIGSTOP)
            yield held
        finally:
            for member in held:
                _signal(member, signal.SIGCONT)

    async def _break_partner(self, fault: Fault) -> str:
        spec: dict[str, Any] = {"kind": PARTNER_KINDS[fault.kind], "rate": fault.share}
        if fault.kind is Kind.LATENCY:
            spec["params"] = {"ms": LATENCY_MS}
        made = await self._ask(fault.target, "POST", "/control/faults", spec)
        try:
            await asyncio.sleep(fault.lasts_s)
        finally:
            await self._ask(fault.target, "DELETE", f"/control/faults/{made.body['id']}")
        return f"{fault.share:.0%} of its requests"

    async def _late_notices(self, fault: Fault) -> str:
        await self._ask(CLEARING_HOUSE, "POST", "/control/webhooks/hold")
        try:
            body = {"banking_days": 2, "drain_timeout_ms": 0}
            told = await self._ask(CLEARING_HOUSE, "POST", "/control/clock/advance", body)
            await asyncio.sleep(fault.lasts_s)
        finally:
            await self._ask(CLEARING_HOUSE, "POST", "/control/webhooks/release")
        return f"{told.body['webhooks']['queued']} notices held back"

    async def _double_notices(self, fault: Fault) -> str:
        end = time.monotonic() + fault.lasts_s
        body: dict[str, Any] = {"banking_days": 2, "drain_timeout_ms": 2000}
        await self._ask(CLEARING_HOUSE, "POST", "/control/clock/advance", body)
        doubled = 0
        for transfer_id in self._load.submitted(DOUBLED):
            body = {"idempotencyKey": transfer_id}
            told = await self._ask(CLEARING_HOUSE, "POST", "/control/webhooks/redeliver", body)
            doubled += told.body.get("queued", 0)
        await asyncio.sleep(max(0.0, end - time.monotonic()))
        return f"{doubled} notices sent again"

    async def _ask(self, partner: str, method: str, path: str, body: Any = None) -> Answer:
        """Call a partner's control API, which may be unreachable while its process restarts.

        If the partner never answers, the TimeoutError has the last failure as its cause.
        """
        last: Exception | None = None

        async def answered() -> Answer | None:
            nonlocal last
            try:
                return await self._bank.control(partner, method, path, body)
            except (aiohttp.ClientError, OSError) as error:
                last = error
                return None

        try:
            return await until(answered, REACHED_WITHIN_S, f"{partner}'s control API answers")
        except TimeoutError as error:
            raise error from last


def family(pid: int) -> list[int]:
    """Return a process and its descendants, parents first, so that a server's workers stop too."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            # The name in parentheses may contain any character; state and parent follow the last
            # parenthesis.
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(stat.parent.name))
    found = [pid]
    for one in found:
        found.extend(children.get(one, []))
    return found


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
