"""Answers to callers whose wait has ended, or who retry after a limit has changed."""

import asyncio
import uuid
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import aiohttp
import pytest
import pytest_asyncio
from bp.customers.v1.account_pb2 import Account
from bp.customers.v1.customers_service_pb2 import CheckDebitResponse
from bp.payments.v1.interbank_transfer_pb2 import InterbankTransfer
from bp.payments.v1.payments_service_pb2 import CreateInterbankTransferResponse

from lab.simulator.services.places import NOWHERE
from ops.waiting import scaled_s, until
from services.chassis.page_tokens import PageTokens
from services.chassis.wait_limit import WaitLimit
from services.kernel.errors import IdempotencyKeyReused, RequestInProgress
from services.payments import errors, handlers
from services.payments.checks import Decision, Limits, Score
from services.payments.dependencies import Dependencies
from services.payments.driver import Driven, Driver
from services.payments.partners.ach import AchClient
from services.payments.partners.fraud import FraudClient
from services.payments.rows import StoredTransfer, UsedKey
from services.payments.settings import PaymentsSettings
from services.payments.state import Event, State
from services.payments.store import Store
from services.payments.transfer import Fact, InterbankTransferOrder, Transfer
from tests.integration.payments.orders import order_of
from tests.rigs.ledger_bank import LedgerBank
from tests.rigs.stores import PostgresStore


class _Overtaken(Driver):
    """Refunds the transfer after the caller's wait, just before the handler reads the transfer."""

    def __init__(self, store: Store, ach: AchClient, owner: str) -> None:
        super().__init__(store, ach, owner)
        self.begun: list[asyncio.Task[Driven]] = []

    def start(self, transfer: Transfer) -> asyncio.Task[Driven]:
        """Begin a saga that outlasts its caller's wait."""
        self.transfer = transfer
        self.begun.append(asyncio.create_task(self._never_end()))
        return self.begun[-1]

    async def _never_end(self) -> Driven:
        await asyncio.Event().wait()
        raise AssertionError

    async def refuse(self) -> None:
        """End the saga with a refund."""
        await self.save(self.transfer, Fact(Event.RECALLED, reason="ACH_UNAVAILABLE"))


class _OvertakenStore(Store):
    """A store whose transfer is refunded just before a statement of the handler."""

    driver: _Overtaken
    before = ""
    """Name of the method that runs the statement."""

    async def transfer(self, transfer_id: uuid.UUID) -> StoredTransfer | None:
        """Read the transfer, perhaps after its refund."""
        await self._refuse_before("transfer")
        return await super().transfer(transfer_id)

    async def keep_response(self, transfer_id: uuid.UUID, response: bytes) -> bytes | None:
        """Keep the answer, perhaps after the refund."""
        await self._refuse_before("keep_response")
        return await super().keep_response(transfer_id, response)

    async def _refuse_before(self, method: str) -> None:
        if method == self.before:
            self.before = ""
            await self.driver.refuse()


@pytest_asyncio.fixture
async def bank(postgres: PostgresStore) -> AsyncGenerator[LedgerBank]:
    bank = LedgerBank(postgres)
    yield bank
    await bank.close()


@pytest_asyncio.fixture
async def store(postgres: PostgresStore) -> AsyncGenerator[Store]:
    pool = await postgres.pool("bp_payments")
    yield Store(pool)
    await pool.close()


@pytest_asyncio.fixture
async def deps(postgres: PostgresStore, tmp_path: Path) -> AsyncGenerator[Dependencies]:
    """Payments whose partners are unreachable and whose callers do not wait."""
    pool = await postgres.pool("bp_payments")
    store = _OvertakenStore(pool)
    connector = aiohttp.UnixConnector(path=str(tmp_path / "nobody"))
    async with aiohttp.ClientSession(connector=connector) as session:
        ach = AchClient(session, session, "key")
        store.driver = _Overtaken(store, ach, "test/0")
        yield Dependencies(
            settings=_settings(answer_wait_s=0.0),
            waits=WaitLimit(waits_max=10, per_customer_max=10),
            store=store,
            driver=store.driver,
            ach=ach,
            fraud=FraudClient(session, "token"),
            customers=cast("Any", _AnyAccount()),
            limits=Limits(transfer_max=100_00, unscored_max=100_00),
            tokens=PageTokens.of({"page_token_key": "0" * 64}),
            webhook_secrets=cast("Any", None),
        )
        for saga in store.driver.begun:
            saga.cancel()
    await pool.close()


def _settings(answer_wait_s: float) -> PaymentsSettings:
    return PaymentsSettings(service="payments", answer_wait_s=answer_wait_s, **NOWHERE)


class _AnyAccount:
    """A stub of the customers client: every account exists, is active and belongs to the caller."""

    async def check_debit(self, *_: uuid.UUID) -> CheckDebitResponse:
        """Return the account."""
        account = Account(state=Account.State.ACTIVE, currency_code="USD")
        return CheckDebitResponse(account=account)


@pytest.mark.parametrize("before", ["transfer", "keep_response"])
async def test_a_transfer_that_was_refunded_as_the_wait_ended_is_no_success(
    deps: Dependencies, bank: LedgerBank, before: str
) -> None:
    holder = await bank.open_holder(100_00)
    cast("_OvertakenStore", deps.store).before = before
    with pytest.raises(errors.AchUnavailable):
        await handlers.create_interbank_transfer(deps, order_of(holder), None)
    assert await bank.held(holder.account_id) == (100_00, 3)


async def test_a_key_answered_with_success_stays_in_use_when_its_transfer_fails_later(
    deps: Dependencies, bank: LedgerBank
) -> None:
    order = order_of(await bank.open_holder(100_00))
    first = await handlers.create_interbank_transfer(deps, order, None)
    await cast("_Overtaken", deps.driver).refuse()
    assert await bank.held(order.account_id) == (100_00, 3)
    assert await handlers.create_interbank_transfer(deps, order, None) == first
    with pytest.raises(IdempotencyKeyReused):
        await handlers.create_interbank_transfer(deps, replace(order, fingerprint=b"g" * 32), None)
    assert await bank.held(order.account_id) == (100_00, 3)


async def test_beyond_the_limit_of_waiting_calls_the_answer_is_the_present_state(
    deps: Dependencies, bank: LedgerBank
) -> None:
    holder = await bank.open_holder(100_00)
    limit = WaitLimit(waits_max=1, per_customer_max=1)
    patient = replace(deps, settings=_settings(answer_wait_s=3600.0), waits=limit)
    order = order_of(holder)
    first = asyncio.create_task(handlers.create_interbank_transfer(patient, order, None))

    async def waits() -> bool:
        with limit.place(holder.customer_id) as is_free:
            return not is_free

    try:
        await until(waits, 20, "the first call waits")
        async with asyncio.timeout(scaled_s(10)):
            other = _transfer(
                await handlers.create_interbank_transfer(patient, order_of(holder), None)
            )
            with pytest.raises(RequestInProgress):
                await handlers.create_interbank_transfer(patient, order, None)
            assert len(cast("_Overtaken", deps.driver).begun) == 2, "one of each transfer"
            cancelled = await handlers.cancel_interbank_transfer(
                patient, holder.customer_id, uuid.UUID(other.transfer_id)
            )
        assert other.state == InterbankTransfer.State.DEBITED
        assert cancelled.state is State.CANCELLING
        assert not first.done()
        used = await deps.store.key(order)
        stored = await deps.store.transfer(used.transfer_id) if used else None
        assert stored is not None
        assert stored.accepted_response is None, "the first call has given no answer yet"
    finally:
        first.cancel()


def _transfer(response: bytes) -> InterbankTransfer:
    return CreateInterbankTransferResponse.FromString(response).transfer


class _Down:
    """A stub of a client whose service does not answer."""

    async def check_debit(self, *_: uuid.UUID) -> CheckDebitResponse:
        """Fail: a replay needs no other service."""
        raise AssertionError

    async def score(self, _order: InterbankTransferOrder) -> Score:
        """Fail: a replay needs no other service."""
        raise AssertionError

    async def takes_part(self, _routing_number: str) -> bool:
        """Fail: a replay needs no other service."""
        raise AssertionError


class _Calm:
    """A stub for the clients of partners that accept everything."""

    async def score(self, _order: InterbankTransferOrder) -> Score:
        """Return an accepting score."""
        return Score(Decision.APPROVE)

    async def takes_part(self, _routing_number: str) -> bool:
        """Return True: every bank takes part."""
        return True


async def test_a_replay_asks_no_other_service(deps: Dependencies, bank: LedgerBank) -> None:
    order = order_of(await bank.open_holder(100_00))
    first = await handlers.create_interbank_transfer(deps, order, None)
    down = cast("Any", _Down())
    alone = replace(deps, customers=down, fraud=down, ach=down)
    assert await handlers.create_interbank_transfer(alone, order, None) == first
    with pytest.raises(IdempotencyKeyReused):
        await handlers.create_interbank_transfer(alone, replace(order, fingerprint=b"g" * 32), None)


async def test_an_accepted_order_is_replayed_after_the_limit_was_lowered(
    deps: Dependencies, store: Store, bank: LedgerBank
) -> None:
    order = order_of(await bank.open_holder(100_00))
    driver = Driver(store, deps.ach, "test/1")
    settings = _settings(answer_wait_s=scaled_s(20))
    patient = replace(deps, settings=settings, store=store, driver=driver)
    first = await handlers.create_interbank_transfer(patient, order, None)
    stricter = replace(patient, limits=Limits(transfer_max=99, unscored_max=99))
    assert await handlers.create_interbank_transfer(stricter, order, None) == first
    other = replace(order, fingerprint=b"g" * 32)
    with pytest.raises(IdempotencyKeyReused):
        await handlers.create_interbank_transfer(stricter, other, None)
    with pytest.raises(errors.AmountLimitExceeded):
        await handlers.create_interbank_transfer(
            stricter, replace(order, idempotency_key="fresh"), None
        )


async def test_an_order_to_this_bank_is_refused_and_one_that_was_accepted_earlier_is_replayed(
    deps: Dependencies, bank: LedgerBank
) -> None:
    order = order_of(await bank.open_holder(100_00))
    first = await handlers.create_interbank_transfer(deps, order, None)
    own = deps.settings.model_copy(update={"routing_number": order.beneficiary.routing_number})
    today = replace(deps, settings=own)
    assert await handlers.create_interbank_transfer(today, order, None) == first
    with pytest.raises(errors.OwnRoutingNumber):
        await handlers.create_interbank_transfer(
            today, replace(order, idempotency_key="fresh"), None
        )


FORMER, CANONICAL = b"r" * 32, b"c" * 32


class _KeyNotSeenYet(Store):
    """A store that first looks up a key before another process takes it."""

    looks = 0

    async def key(self, order: InterbankTransferOrder) -> UsedKey | None:
        """Return None at first, then the use of the key."""
        self.looks += 1
        return None if self.looks == 1 else await super().key(order)


@pytest.mark.parametrize("store_class", [Store, _KeyNotSeenYet])
async def test_a_request_that_an_earlier_version_accepted_under_its_fingerprint_is_replayed(
    deps: Dependencies, postgres: PostgresStore, bank: LedgerBank, store_class: type[Store]
) -> None:
    holder = await bank.open_holder(100_00)
    sent = replace(order_of(holder), fingerprint=FORMER)
    first = await handlers.create_interbank_transfer(deps, sent, None)
    repeated = replace(sent, fingerprint=CANONICAL, former_fingerprint=FORMER)
    pool = await postgres.pool("bp_payments", 1)
    try:
        today = replace(
            deps,
            store=store_class(pool),
            fraud=cast("Any", _Calm()),
            ach=cast("Any", _Calm()),
        )
        assert await handlers.create_interbank_transfer(today, repeated, None) == first
        other = replace(sent, fingerprint=CANONICAL, former_fingerprint=b"o" * 32)
        with pytest.raises(IdempotencyKeyReused):
            await handlers.create_interbank_transfer(today, other, None)
    finally:
        await pool.close()
    assert await bank.held(holder.account_id) == (99_00, 2)
