"""PostgreSQL fails under load: callers are told to retry, and each order is executed once."""

import asyncio
import os
import signal
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import asyncpg

from ops.provision import databases
from ops.waiting import scaled_s, until
from services.chassis.settings import ServiceSettings
from tests.chaos.stores.load import CLEAR, load
from tests.rigs.running_bank import Answer, Bank, Customer

WITHIN_S = 30
STORM_CLIENTS = 180
"""More than max_connections of the one-machine stack."""
CROWD = 20
"""More readers than payments has connections to the Write DB."""
ALL_END = "terminating any other active server processes"
WAITS_MS = 20
"""Longer than waits in normal work, and much shorter than a batch waits (250 ms)."""


async def test_postgres_killed_under_load_costs_only_the_calls_in_flight(
    bank: Bank,
) -> None:
    async with load(bank) as paying:
        killed = await asyncio.to_thread(bank.stack.kill, "postgres")
        await paying.refused()
        await asyncio.to_thread(bank.stack.wait_ready, "postgres", not_pid=killed)
        await paying.more(20, WITHIN_S)
    paying.assert_clear()
    await paying.assert_whole(WITHIN_S)


async def test_a_crash_of_one_session_restarts_all_and_is_healed_without_the_supervisor(
    bank: Bank,
) -> None:
    server = bank.stack.pid("postgres")
    ended = _told(bank, ALL_END)
    async with load(bank) as paying:
        found = await bank.rows(
            "bp_write", "SELECT pid FROM pg_stat_activity WHERE usename = 'bp_payments' LIMIT 1"
        )
        os.kill(found[0]["pid"], signal.SIGKILL)
        await paying.more(20, WITHIN_S)
    paying.assert_clear()
    assert _told(bank, ALL_END) > ended
    assert bank.stack.pid("postgres") == server
    await paying.assert_whole(WITHIN_S)


async def test_an_ordered_restart_under_load_costs_only_the_calls_in_flight(
    bank: Bank,
) -> None:
    before = bank.stack.pid("postgres")
    async with load(bank) as paying:
        await asyncio.to_thread(bank.stack.restart, "postgres")
        assert bank.stack.pid("postgres") != before
        await paying.more(20, WITHIN_S)
    paying.assert_clear()
    await paying.assert_whole(WITHIN_S)


@asynccontextmanager
async def _storm(bank: Bank) -> AsyncGenerator[int]:
    """Connect more clients than the server accepts. Yield the number of refused clients."""
    dsn = bank.stack.dsn("bp_write", "bp_judge")

    async def client() -> asyncpg.Connection:
        return await asyncpg.connect(dsn, timeout=round(scaled_s(20)))

    found = await asyncio.gather(*(client() for _ in range(STORM_CLIENTS)), return_exceptions=True)
    held = [one for one in found if isinstance(one, asyncpg.Connection)]
    refused = [one for one in found if isinstance(one, asyncpg.TooManyConnectionsError)]
    try:
        assert len(held) + len(refused) == STORM_CLIENTS, [
            one for one in found if isinstance(one, Exception)
        ]
        yield len(refused)
    finally:
        for one in held:
            one.terminate()


async def _sessions(bank: Bank) -> set[int]:
    """Return the server processes of payments' pool."""
    sql = "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'payments/%'"
    connection = await asyncpg.connect(bank.stack.dsn("bp_write"))
    try:
        return {row["pid"] for row in await connection.fetch(sql)}
    finally:
        await connection.close()


async def test_a_storm_of_connections_takes_none_from_the_services_and_lost_ones_are_reopened(
    bank: Bank,
) -> None:
    async with load(bank) as paying:
        before = await _sessions(bank)
        assert before
        async with _storm(bank) as refused:
            assert refused > 0
            await paying.more(20)
            assert before <= await _sessions(bank), "a pool keeps the connections that it has"
            # Payments loses its connections and gets no new ones, as if the storm had taken all.
            async with _no_connection_for(bank, "bp_payments"):
                await paying.refused()
        await paying.more(20, WITHIN_S)
    paying.assert_clear()
    await paying.assert_whole(WITHIN_S)


@asynccontextmanager
async def _no_connection_for(bank: Bank, role: str) -> AsyncGenerator[None]:
    admin = await bank.connect("bp_write")
    try:
        await admin.execute(f"ALTER ROLE {role} CONNECTION LIMIT 0")
        await _terminate(admin, role)
        yield
    finally:
        limit = databases.LIMITS[role].connections
        await admin.execute(f"ALTER ROLE {role} CONNECTION LIMIT {limit}")
        await admin.close()


async def _terminate(admin: asyncpg.Connection, role: str) -> None:
    await admin.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1", role
    )


@asynccontextmanager
async def _rival(bank: Bank) -> AsyncGenerator[asyncpg.Connection]:
    """Open a competing transaction in the Write DB. The server does not end it for a deadlock or
    for being idle."""
    connection = await bank.connect("bp_write")
    try:
        await connection.execute("SET deadlock_timeout = '1h'")
        await connection.execute("SET idle_in_transaction_session_timeout = 0")
        async with connection.transaction():
            yield connection
    finally:
        await connection.close()


async def _held(rival: asyncpg.Connection, account_id: uuid.UUID) -> None:
    await rival.execute(
        "UPDATE ledger.account SET balance = balance WHERE account_id = $1", account_id
    )


async def _waits(bank: Bank, role: str, sessions: int = 1) -> None:
    """Wait until this many sessions of a service wait for a lock."""
    sql = (
        "SELECT 1 FROM pg_stat_activity WHERE usename = $1 AND wait_event_type = 'Lock'"
        " AND clock_timestamp() - query_start > make_interval(secs => $2)"
    )

    async def one() -> bool:
        return len(await bank.rows("bp_write", sql, role, WAITS_MS / 1000)) >= sessions

    await until(one, 10, f"{role} waits for a lock")


async def _until_yes(ask: Callable[[], Awaitable[Answer]]) -> list[tuple[int, str]]:
    """Retry an order until it is accepted. Return the refusals."""
    refusals: list[tuple[int, str]] = []
    async with asyncio.timeout(scaled_s(60)):
        while (answer := await ask()).status != 200:
            refusals.append((answer.status, answer.reason))
            assert refusals[-1] in CLEAR, answer.text
            await asyncio.sleep(0.1)
    return refusals


def _told(bank: Bank, what: str) -> int:
    return bank.stack.log("postgres").count(what)


def _book_once(bank: Bank, payer: Customer, payee: Customer) -> Callable[[], Awaitable[Answer]]:
    body = {
        "accountId": str(payer.account_id),
        "destinationAccountId": str(payee.account_id),
        "amount": {"currencyCode": "USD", "minorUnits": "700"},
    }
    headers = {"Idempotency-Key": str(uuid.uuid4())}
    return lambda: bank.call("POST", "/v1/transfers/internal", payer.token, body, headers)


def _pay_once(bank: Bank, payer: Customer, cents: int) -> Callable[[], Awaitable[Answer]]:
    key = str(uuid.uuid4())
    return lambda: bank.pay(payer, cents, key=key)


def _lock_order(customer: Customer) -> tuple[int, uuid.UUID]:
    return customer.account_id.bytes[15] & 63, customer.account_id


async def test_the_victim_of_a_deadlock_is_done_once_when_it_is_repeated(bank: Bank) -> None:
    ana, luis = await bank.customer(), await bank.customer()
    first, second = sorted((ana, luis), key=_lock_order)
    deadlocks, orders = _told(bank, "deadlock detected"), 0

    async def made_a_deadlock() -> bool:
        nonlocal orders
        orders += 1
        async with asyncio.TaskGroup() as calls, _rival(bank) as rival:
            await _held(rival, second.account_id)
            calls.create_task(_until_yes(_book_once(bank, ana, luis)))
            await _waits(bank, "bp_transfers")
            await _held(rival, first.account_id)
        return _told(bank, "deadlock detected") > deadlocks

    # The server checks for a deadlock once in each wait. At that time the rival must already wait,
    # so several orders may be needed. A batch waits for 250 ms.
    async with _sessions_with(bank, "bp_transfers", "deadlock_timeout", "200ms"):
        await until(made_a_deadlock, 60, "a deadlock")
    assert _told(bank, "deadlock detected") == deadlocks + 1
    assert await bank.posted(ana) == 5_000_00 - orders * 7_00
    assert await bank.posted(luis) == 5_000_00 + orders * 7_00


@asynccontextmanager
async def _sessions_with(bank: Bank, role: str, setting: str, value: str) -> AsyncGenerator[None]:
    """Give a service's sessions another setting than the service expects."""
    admin = await bank.connect("bp_write")
    try:
        await admin.execute(f"ALTER ROLE {role} SET {setting} = '{value}'")
        await _terminate(admin, role)
        yield
    finally:
        await admin.execute(f"ALTER ROLE {role} RESET {setting}")
        await _terminate(admin, role)
        await admin.close()


async def test_a_serialization_error_is_a_clear_answer_and_the_order_is_done_once(
    bank: Bank,
) -> None:
    ana = await bank.customer()
    errors, orders = _told(bank, "could not serialize access"), 0

    async def made_an_error() -> bool:
        nonlocal orders
        orders += 1
        key = str(uuid.uuid4())
        async with asyncio.TaskGroup() as calls, _rival(bank) as rival:
            await _held(rival, ana.account_id)
            calls.create_task(_until_yes(lambda: bank.pay(ana, 7_00, key=key)))
            await _waits(bank, "bp_payments")
        return _told(bank, "could not serialize access") > errors

    level = "default_transaction_isolation"
    async with _sessions_with(bank, "bp_payments", level, "repeatable read"):
        await _until_yes(_pay_once(bank, ana, 1_00))
        # The order may time out just as the rival commits, so several orders may be needed.
        await until(made_an_error, 60, "a serialization error")
    await _until_yes(_pay_once(bank, ana, 1_00))
    assert await bank.posted(ana) == 5_000_00 - 2_00 - orders * 7_00


async def test_an_account_that_another_session_holds_is_busy_and_delays_no_other_caller(
    bank: Bank,
) -> None:
    ana, luis = await bank.customer(), await bank.customer()
    key = str(uuid.uuid4())

    async def refused_behind_the_other() -> bool:
        async with asyncio.TaskGroup() as calls:
            asked = calls.create_task(bank.pay(ana, 7_00, key=key))
            served = await bank.pay(luis, 1_00)
        refused = asked.result()
        for answer in (refused, served):
            assert answer.status == 200 or (answer.status, answer.reason) in CLEAR, answer.text
        assert int(refused.headers["Retry-After"]) > 0
        return served.status == 200 and (refused.status, refused.reason) == (409, "ACCOUNT_BUSY")

    async with _rival(bank) as rival:
        await _held(rival, ana.account_id)
        await until(refused_behind_the_other, 60, "the other is served while the first waits")
    await _until_yes(lambda: bank.pay(ana, 7_00, key=key))
    assert await bank.posted(ana) == 4_993_00


async def _is_well(bank: Bank, part: str) -> bool:
    return part not in await asyncio.to_thread(bank.stack.ill)


async def test_callers_of_a_full_connection_pool_are_told_to_retry_and_no_process_ends(
    bank: Bank,
) -> None:
    payer = await bank.customer()
    paths: list[str] = []

    async def paid() -> bool:
        answer = await bank.pay(payer, 7_00)
        if answer.status == 200:
            paths.append(f"/v1/transfers/interbank/{answer.body['transferId']}")
        return len(paths) == 1

    await until(paid, 60, "an order is accepted")
    payments, pool = (
        bank.stack.pid("payments"),
        ServiceSettings.model_fields["pool_connections"].default,
    )

    async def read() -> Answer:
        return await bank.call("GET", paths[0], payer.token)

    async with asyncio.TaskGroup() as calls, _rival(bank) as rival:
        await rival.execute("LOCK TABLE payments.interbank_transfer")
        readers = [calls.create_task(_until_yes(read)) for _ in range(CROWD)]
        await _waits(bank, "bp_payments", pool)
        await until(lambda: _is_well(bank, "payments"), 10, "payments reports that it is healthy")
        await _waits(bank, "bp_payments", pool)
    assert all(one.done() for one in readers)
    assert bank.stack.pid("payments") == payments
