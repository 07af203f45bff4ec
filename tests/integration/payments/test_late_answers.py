"""What callers are told who waited too long, or ask again after the bank has changed."""

import asyncio
import uuid
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from ops.waiting import scaled_s
from services.chassis.page_tokens import PageTokens
from services.chassis.postgres import load_queries
from services.kernel.errors import IdempotencyKeyReused
from services.payments import errors, handlers, mapping
from services.payments.checks import AccountFacts, Limits
from services.payments.driver import Driven, Driver
from services.payments.handlers import Dependencies
from services.payments.partners.ach import AchClient
from services.payments.partners.fraud import FraudClient
from services.payments.state import Event
from services.payments.store import Store, StoredTransfer
from services.payments.transfer import Fact, Transfer
from tests.integration.payments.orders import order_of
from tests.rigs.ledger_bank import LedgerBank
from tests.rigs.stores import PostgresStore

QUERIES = Path(mapping.__file__).parent / "sql" / "queries.sql"


class _Overtaken(Driver):
    """Refuses the transfer when the caller has stopped waiting, just before the caller looks."""

    saga: asyncio.Task[Driven] | None = None

    def start(self, transfer: Transfer) -> asyncio.Task[Driven]:
        """Begin a saga that tells its end too late."""
        self.transfer = transfer
        self.saga = asyncio.create_task(self._never_told())
        return self.saga

    async def _never_told(self) -> Driven:
        await asyncio.Event().wait()
        raise AssertionError

    async def refuse(self) -> None:
        """End the saga in a refund."""
        await self.save(self.transfer, Fact(Event.RECALLED, reason="ACH_UNAVAILABLE"))


class _LookingStore(Store):
    """A store that is looked into once the wait is over."""

    driver: _Overtaken

    async def transfer(self, transfer_id: uuid.UUID) -> StoredTransfer | None:
        """Let the saga end first."""
        await self.driver.refuse()
        return await super().transfer(transfer_id)


@pytest_asyncio.fixture
async def bank(postgres: PostgresStore) -> AsyncGenerator[LedgerBank]:
    bank = LedgerBank(postgres)
    yield bank
    await bank.close()


@pytest_asyncio.fixture
async def store(postgres: PostgresStore) -> AsyncGenerator[Store]:
    pool = await postgres.pool("bp_payments")
    yield Store(pool, load_queries(QUERIES))
    await pool.close()


@pytest_asyncio.fixture
async def deps(postgres: PostgresStore, tmp_path: Path) -> AsyncGenerator[Dependencies]:
    """Payments whose partners are away and whose callers do not wait."""
    pool = await postgres.pool("bp_payments")
    store = _LookingStore(pool, load_queries(QUERIES))
    connector = aiohttp.UnixConnector(path=str(tmp_path / "nobody"))
    async with aiohttp.ClientSession(connector=connector) as session:
        ach = AchClient(session, "key")
        store.driver = _Overtaken(store, ach, "test/0")
        yield Dependencies(
            store=store,
            driver=store.driver,
            ach=ach,
            fraud=FraudClient(session, "token"),
            ask_account=_any_account,
            limits=Limits(transfer_max=100_00, unscored_max=100_00),
            tokens=PageTokens.of({"page_token_key": "0" * 64}),
            wait_s=0.0,
        )
        if store.driver.saga is not None:
            store.driver.saga.cancel()
    await pool.close()


async def _any_account(_customer: uuid.UUID, _account: uuid.UUID) -> AccountFacts:
    return AccountFacts(exists=True, active=True, currency="USD")


async def test_a_transfer_that_was_refunded_as_the_wait_ended_is_no_success(
    deps: Dependencies, bank: LedgerBank
) -> None:
    holder = await bank.open_holder(100_00)
    with pytest.raises(errors.AchUnavailable):
        await handlers.create_transfer(deps, order_of(holder))
    assert await bank.held(holder.account_id) == (100_00, 3)


async def test_what_was_accepted_is_replayed_after_the_limit_was_lowered(
    deps: Dependencies, store: Store, bank: LedgerBank
) -> None:
    order = order_of(await bank.open_holder(100_00))
    driver = Driver(store, deps.ach, "test/1")
    patient = replace(deps, store=store, driver=driver, wait_s=scaled_s(20))
    first = await handlers.create_transfer(patient, order)
    stricter = replace(patient, limits=Limits(transfer_max=99, unscored_max=99))
    assert await handlers.create_transfer(stricter, order) == first
    other = replace(order, fingerprint=b"g" * 32)
    with pytest.raises(IdempotencyKeyReused):
        await handlers.create_transfer(stricter, other)
    with pytest.raises(errors.AmountLimitExceeded):
        await handlers.create_transfer(stricter, replace(order, idempotency_key="fresh"))
