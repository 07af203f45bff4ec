"""Leases of workers with a wrong clock, and leases that a lost statement leaves open."""

import asyncio
import uuid
from collections.abc import AsyncGenerator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
from aiohttp import web

from ops.waiting import scaled_s, until
from services.chassis.http_client import partner_session
from services.kernel.clock import utc_now
from services.payments import driver as driver_module
from services.payments.attempt import Attempt
from services.payments.driver import LEASE_S, Driver
from services.payments.partners.ach import AchClient
from services.payments.rows import KeptLeases, Lease
from services.payments.store import Store
from services.payments.transfer import Transfer
from tests.integration.payments.orders import debit, order_of
from tests.rigs import outside
from tests.rigs.ledger_bank import LedgerBank

DAY = timedelta(days=1)
LOOKS = 5
"""A look claims at most 64 transfers, and other tests may leave some that are due."""
LEASE = "SELECT lease_owner, lease_until FROM payments.interbank_transfer WHERE transfer_id = $1"


@pytest_asyncio.fixture
async def hanging(tmp_path: Path) -> AsyncGenerator[AchClient]:
    """A client of a clearing house that does not answer during the test."""
    ends = asyncio.Event()

    async def hang(_request: web.Request) -> web.Response:
        await ends.wait()
        return web.Response(status=500)

    async with (
        outside.serving(tmp_path, {outside.EVERY_PATH: hang}),
        partner_session(outside.settings_of(tmp_path)) as session,
    ):
        yield AchClient(session, session, "key")
        ends.set()


@pytest.fixture
def slot() -> str:
    """A slot that no other test uses."""
    return f"test/{uuid.uuid4().hex}"


async def _debited(store: Store, bank: LedgerBank, lease: Lease) -> Transfer:
    transfer, _ = await debit(store, order_of(await bank.open_holder(5_00)), lease)
    return transfer


async def _lease_of(bank: LedgerBank, transfer: Transfer) -> tuple[str, datetime]:
    connection = await bank.superuser("bp_write")
    row: Any = await connection.fetchrow(LEASE, transfer.transfer_id)
    return row["lease_owner"], row["lease_until"]


async def _until_driven(driver: Driver, transfer: Transfer) -> None:
    async def driven() -> bool:
        await asyncio.wait_for(driver.resume(), scaled_s(20))
        return driver.running(transfer.transfer_id) is not None

    await until(driven, 20, "the worker drives the transfer")


@pytest.mark.parametrize("is_postponed", [False, True], ids=["leased", "postponed"])
async def test_a_transfer_that_a_wrong_clock_put_off_is_driven_by_any_worker(
    store: Store, bank: LedgerBank, unreachable: AchClient, slot: str, is_postponed: bool
) -> None:
    """Previously it waited until the clocks reached that time."""
    transfer = await _debited(store, bank, Lease(f"{slot}/gone", utc_now() + DAY))
    if is_postponed:
        await store.postpone(transfer, utc_now() + DAY, f"{slot}/gone")
    driver = Driver(store, unreachable, slot)
    await _until_driven(driver, transfer)
    await driver.drain(scaled_s(20))


async def test_a_worker_whose_clock_is_behind_takes_no_lease_of_another_worker(
    store: Store,
    bank: LedgerBank,
    unreachable: AchClient,
    slot: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lease = Lease(f"{slot}/other", utc_now() + timedelta(seconds=LEASE_S))
    transfer = await _debited(store, bank, lease)
    driver = Driver(store, unreachable, slot)
    with monkeypatch.context() as patch:
        patch.setattr(driver_module, "utc_now", lambda: utc_now() - DAY)
        await driver.resume()
    assert driver.running(transfer.transfer_id) is None
    assert await _lease_of(bank, transfer) == (lease.owner, lease.until)
    await driver.drain(scaled_s(20))


async def test_a_lost_statement_ends_no_lease_of_a_running_task(
    store: Store, bank: LedgerBank, hanging: AchClient, slot: str
) -> None:
    """Previously other workers queried the clearing house about these transfers too."""
    driver = Driver(store, hanging, slot)
    await driver.resume()
    lease = driver.lease()
    transfer = await _debited(store, bank, lease)
    driver.start(transfer)

    async def lost() -> None:
        raise asyncpg.ConnectionDoesNotExistError

    work = driver.carry_through(lost(), Attempt())
    await asyncio.gather(work, return_exceptions=True)
    assert driver._interrupt_time is not None
    await driver.resume()
    assert driver._interrupt_time is None
    assert await _lease_of(bank, transfer) == (slot, lease.until)
    await driver.drain(0.0)


async def test_a_lease_that_begins_while_others_are_released_is_kept(
    store: Store,
    bank: LedgerBank,
    unreachable: AchClient,
    slot: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    driver, release, begun = Driver(store, unreachable, slot), store.release_leases, []

    async def begin_and_release(owner: str, now: datetime, kept: KeptLeases) -> int:
        lease = driver.lease()
        begun.append((await _debited(store, bank, lease), lease))
        return await release(owner, now, kept)

    with monkeypatch.context() as patch:
        patch.setattr(store, "release_leases", begin_and_release)
        await driver.resume()
    ((transfer, lease),) = begun
    assert await _lease_of(bank, transfer) == (slot, lease.until)
    await driver.drain(scaled_s(20))


async def test_transfers_of_a_claim_without_an_answer_are_driven_at_the_next_look(
    store: Store,
    bank: LedgerBank,
    unreachable: AchClient,
    slot: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Previously they waited until the lease of the lost claim expired.

    The number of looks is limited, not the time: on a slow host the time would include the lease.
    """
    driver = Driver(store, unreachable, slot)
    await driver.resume()
    transfer = await _debited(store, bank, Lease("nobody", utc_now() - DAY))
    claim = store.claim_due

    async def lose_the_answer(lease: Lease, now: datetime) -> list[Transfer]:
        await claim(lease, now)
        raise asyncpg.ConnectionDoesNotExistError

    with monkeypatch.context() as patch:
        patch.setattr(store, "claim_due", lose_the_answer)
        with pytest.raises(asyncpg.ConnectionDoesNotExistError):
            await driver.resume()
    for _ in range(LOOKS):
        await driver.resume()
        if driver.running(transfer.transfer_id) is not None:
            break
    else:
        pytest.fail("the transfer waits for the lease of the lost claim")
    await driver.drain(scaled_s(20))


async def test_a_worker_whose_clock_is_far_ahead_takes_nothing_from_the_others(
    store: Store, bank: LedgerBank, slot: str
) -> None:
    """Previously it took what another worker had just postponed, which took it back at once."""
    soon = utc_now() + timedelta(minutes=9)
    # A claim takes the oldest rows, so rows of other tests must not be older than this one.
    while await store.claim_due(Lease(f"{slot}/others", soon + timedelta(seconds=30)), soon):
        pass
    transfer = await _debited(store, bank, Lease(f"{slot}/right", utc_now() + DAY))
    await store.postpone(transfer, utc_now() + timedelta(minutes=5), f"{slot}/right")
    ahead = utc_now() + timedelta(minutes=20)
    claimed = await store.claim_due(
        Lease(f"{slot}/ahead", ahead + timedelta(seconds=LEASE_S)), ahead
    )
    assert transfer.transfer_id not in {one.transfer_id for one in claimed}
