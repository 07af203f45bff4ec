"""Whole logins with three factors: password, code by text message, then a face or a device key."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from lab.bench.bench import Bench
from lab.bench.variants.login.measured import closed_loop, note, usual_s
from lab.bench.variants.login.passwords import AT_ONCE
from lab.bench.variants.login.patience import Patience
from ops.waiting import until
from sandbox.app import App
from sandbox.client import Answer

SECONDS = 12.0
REGISTRATIONS_AT_ONCE = 4
REGISTERED_WITHIN_S = 60.0


async def measure(bench: Bench, apps: Sequence[App]) -> None:
    """Measure logins by face, register a device key on each telephone, and measure these too.

    Afterwards each telephone has a session.
    """
    seconds = usual_s(bench, SECONDS)
    patience = Patience()
    by_face = await closed_loop(bench, "login.face", apps, patience.log_in, AT_ONCE, seconds)
    note(bench, "login.face", by_face)
    await _register(bench, apps)
    by_key = await closed_loop(bench, "login.key", apps, patience.log_in, AT_ONCE, seconds)
    note(bench, "login.key", by_key)
    bench.found.details["login"]["whole.busy_answers"] = patience.busy


async def _register(bench: Bench, apps: Sequence[App]) -> None:
    bench.say("login: the telephones register their keys")
    gate = asyncio.Semaphore(REGISTRATIONS_AT_ONCE)

    async def register(app: App) -> None:
        async with gate:
            if not app.phone.access_token:
                await _good(app.log_in)
            await _good(app.register_key)

    async with asyncio.TaskGroup() as tasks:
        for app in apps:
            tasks.create_task(register(app))


async def _good(step: Callable[[], Awaitable[Answer]]) -> None:
    """Repeat a step that is not measured until the bank accepts it."""

    async def accepted() -> bool:
        return (await step()).status == 200

    await until(accepted, REGISTERED_WITHIN_S, "the bank accepts a telephone")
