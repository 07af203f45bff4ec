"""Valkey restarts, loses its last second or is gone, while customers are logged in."""

import asyncio
import shutil
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from ops.waiting import until
from sandbox.app import App
from tests.chaos.logins.books import Books
from tests.chaos.logins.outages import killed, stopped
from tests.chaos.logins.steps import Ready
from tests.chaos.logins.test_stores import UNAVAILABLE, agreed, assert_refused
from tests.rigs.running_bank import Answer, Bank
from tests.rigs.stores import all_in_file

pytestmark = pytest.mark.judged_with_its_module

LOST_WITHIN_S = 30
ENDS_WITHIN_S = 10
READERS = ("customers", "payments", "transfers", "notifications")


async def _logged_in(bank: Bank) -> App:
    app = await App.of(bank, await bank.customer())
    assert (await app.log_in()).status == 200
    return app


async def _is_refused(app: App) -> None:
    async def refused() -> bool:
        return (await app.get("/v1/accounts")).status == 401

    await until(refused, ENDS_WITHIN_S, "the token of an ended session is refused")


async def test_valkey_writes_its_file_each_second_and_a_snapshot_every_15_minutes(
    books: Books,
) -> None:
    """The recovery row of the design document, read from the running server."""
    wanted = {
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "900 1",
        "maxmemory-policy": "noeviction",
    }
    assert await books.valkey.config_get(*wanted) == wanted


async def test_sessions_codes_and_counters_survive_a_kill(bank: Bank, books: Books) -> None:
    app = await _logged_in(bank)
    assert (await app.login("wrong", app.identity.email)).status == 401
    session_id = (await app.login()).body["sessionId"]
    assert (await app.login("wrong", app.identity.email)).status == 401
    code = await app.code(1)
    counted = await books.tries()
    expiries = await books.expiries(counted)
    await all_in_file(books.valkey)
    await killed(bank, "valkey")
    found, now_ms = await books.tries(), await books.now_ms()
    # Counters of earlier tests may have expired meanwhile.
    kept = {name: count for name, count in counted.items() if expiries[name] > now_ms}
    assert kept
    assert kept.items() <= found.items() <= counted.items()
    asked = await app.verify_otp(session_id, code)
    assert asked.status == 200, asked.text
    assert (await app.answer_biometric(session_id, asked)).status == 200
    assert (await app.refresh()).status == 200


@asynccontextmanager
async def _forgotten(bank: Bank, folder: Path) -> AsyncGenerator[None]:
    """Let Valkey lose what is written in the block, as a crash of its machine does."""
    data, copy = bank.stack.home.data / "valkey", folder / "copy"
    async with stopped(bank, "valkey"):
        shutil.copytree(data, copy)
    try:
        yield
    finally:
        async with stopped(bank, "valkey"):
            shutil.rmtree(data)
            shutil.copytree(copy, data)


async def test_a_lost_second_brings_no_ended_session_back(
    bank: Bank, books: Books, tmp_path: Path
) -> None:
    app = await _logged_in(bank)
    async with _forgotten(bank, tmp_path):
        assert (await app.log_out()).status == 200
    held = await agreed(books, Ready(app, app.log_out))
    assert not held.rows
    await _is_refused(app)
    refused = await app.refresh()
    assert (refused.status, refused.reason) == (401, "REFRESH_TOKEN_INVALID")
    assert (await app.log_in()).status == 200


def _logged(bank: Bank, event: str) -> int:
    return min(bank.stack.log(name).count(event) for name in READERS)


async def _logs(bank: Bank, event: str, before: int) -> None:
    async def there() -> bool:
        return await asyncio.to_thread(_logged, bank, event) > before

    await until(there, LOST_WITHIN_S, f"every service logs {event}")


async def _paid(bank: Bank, app: App) -> Answer:
    customer = await bank.customer()
    return await bank.pay(replace(customer, token=await bank.token(customer.customer_id)))


async def test_without_valkey_logins_fail_closed_and_paying_and_revocations_continue(
    bank: Bank, books: Books
) -> None:
    app, ended = await _logged_in(bank), await _logged_in(bank)
    await ended.log_out()
    await _is_refused(ended)
    lost, back = _logged(bank, "revocations.feed_lost"), _logged(bank, "revocations.feed_back")
    async with stopped(bank, "valkey"):
        assert_refused(await app.login(), UNAVAILABLE)
        assert_refused(await app.refresh(app.phone.refresh_token), UNAVAILABLE)
        assert (await app.get("/v1/accounts")).status == 200
        assert (await _paid(bank, app)).status == 200
        await _logs(bank, "revocations.feed_lost", lost)
        assert (await ended.get("/v1/accounts")).status == 401, "what a service knew still holds"
        assert (await app.get("/v1/accounts")).status == 200
    await _logs(bank, "revocations.feed_back", back)
    assert (await app.refresh()).status == 200
