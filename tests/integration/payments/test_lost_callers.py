"""Callers that give up, and workers that stop: no debit waits for the end of its lease."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace
from datetime import datetime
from typing import Any, cast

import asyncpg
import pytest
import pytest_asyncio
from bp.customers.v1.account_pb2 import Account
from bp.customers.v1.customers_service_pb2 import CheckDebitResponse
from structlog.testing import capture_logs

from lab.simulator.services.places import NOWHERE
from ops.waiting import scaled_s, until
from services.chassis.batching import BatchLimits
from services.chassis.page_tokens import PageTokens
from services.chassis.wait_limit import WaitLimit
from services.kernel.clock import utc_now
from services.kernel.errors import AccountBusy
from services.kernel.ids import new_id, shard_of
from services.payments import handlers, mapping
from services.payments.checks import Decision, Limits, Score
from services.payments.dependencies import Dependencies
from services.payments.driver import Driver
from services.payments.rows import Lease
from services.payments.saga import Answer, Outcome
from services.payments.settings import PaymentsSettings
from services.payments.state import State
from services.payments.store import ALONE_MAX, Store
from services.payments.transfer import InterbankTransferOrder, Transfer
from tests.integration.payments.orders import debit, order_of
from tests.rigs.ledger_bank import LedgerBank
from tests.rigs.stores import PostgresStore

TRACE = "991000010000077"
WAITS = """
SELECT count(*) FROM pg_stat_activity
WHERE wait_event_type = 'Lock' AND query LIKE '%payments.debit%'
"""


class _House:
    """A clearing house that answers when the test allows it."""

    def __init__(self) -> None:
        self.answers = asyncio.Event()
        self.asked: set[str] = set()

    async def submit(self, transfer: Transfer) -> Answer:
        """Accept the transfer."""
        self.asked.add(str(transfer.transfer_id))
        await self.answers.wait()
        return Answer(Outcome.ACCEPTED, trace_number=TRACE)

    query = submit

    async def recall(self, _transfer: Transfer) -> Answer:
        """Cancel the transfer."""
        await self.answers.wait()
        return Answer(Outcome.RECALLED)

    async def takes_part(self, _routing_number: str) -> bool:
        """Know every bank."""
        return True


class _Friends:
    """Customers and the fraud service: every account is sound, every order is approved."""

    async def check_debit(self, *_: object) -> CheckDebitResponse:
        """Return the account."""
        account = Account(state=Account.State.ACTIVE, currency_code="USD")
        return CheckDebitResponse(account=account)

    async def score(self, _order: InterbankTransferOrder) -> Score:
        """Approve."""
        return Score(Decision.APPROVE, 1)


@pytest.fixture
def house() -> _House:
    return _House()


@pytest_asyncio.fixture
async def deps(postgres: PostgresStore, house: _House) -> AsyncGenerator[Dependencies]:
    """Payments with one debit at a time, so that a second one waits in the queue."""
    pool = await postgres.pool("bp_payments")
    store = Store(pool, BatchLimits(interval_s=0.0, items_max=1, batches_max=1))
    driver = Driver(store, cast("Any", house), "test/0")
    friends = cast("Any", _Friends())
    yield Dependencies(
        settings=PaymentsSettings(service="payments", answer_wait_s=0.2, **NOWHERE),
        store=store,
        driver=driver,
        ach=cast("Any", house),
        fraud=friends,
        customers=friends,
        limits=Limits(transfer_max=100_00, unscored_max=100_00),
        waits=WaitLimit(waits_max=10, per_customer_max=10),
        tokens=PageTokens.of({"page_token_key": "0" * 64}),
        webhook_secrets=cast("Any", None),
    )
    house.answers.set()
    await driver.drain(60.0)
    await pool.close()


async def _state(bank: LedgerBank, order: InterbankTransferOrder) -> str | None:
    write = await bank.superuser("bp_write")
    sql = "SELECT state FROM payments.interbank_transfer WHERE idempotency_key = $1"
    return await write.fetchval(sql, order.idempotency_key)


async def _until_state(bank: LedgerBank, order: InterbankTransferOrder, state: State) -> None:
    async def there() -> bool:
        return await _state(bank, order) == state.value

    await until(there, 3, f"the transfer is {state.name}, long before its lease ends")


async def _until_debit_waits(bank: LedgerBank) -> None:
    looker = await bank.superuser("bp_write")

    async def waits() -> bool:
        return bool(await looker.fetchval(WAITS))

    await until(waits, 10, "the debit waits for the account")


async def test_a_debit_that_has_begun_starts_its_saga_without_its_caller(
    deps: Dependencies, house: _House, bank: LedgerBank, postgres: PostgresStore
) -> None:
    holder = await bank.open_holder(5_00)
    order = order_of(holder)
    house.answers.set()
    locker: asyncpg.Connection = await postgres.session("postgres")
    async with locker.transaction():
        sql = "SELECT FROM ledger.account WHERE account_id = $1 FOR UPDATE"
        await locker.execute(sql, holder.account_id)
        call = asyncio.create_task(handlers.create_interbank_transfer(deps, order, None))
        await _until_debit_waits(bank)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
    await locker.close()
    await _until_state(bank, order, State.SUBMITTED)
    assert await bank.held(holder.account_id) == (4_00, 2)


async def test_a_cancellation_that_has_begun_is_continued_without_its_caller(
    deps: Dependencies, house: _House, bank: LedgerBank, postgres: PostgresStore
) -> None:
    order = order_of(await bank.open_holder(5_00))
    house.answers.set()
    await handlers.create_interbank_transfer(deps, order, None)
    await _until_state(bank, order, State.SUBMITTED)
    write = await bank.superuser("bp_write")
    sql = "SELECT transfer_id FROM payments.interbank_transfer WHERE idempotency_key = $1"
    transfer_id: Any = await write.fetchval(sql, order.idempotency_key)
    locker: asyncpg.Connection = await postgres.session("postgres")
    async with locker.transaction():
        sql = "SELECT FROM payments.interbank_transfer WHERE transfer_id = $1 FOR UPDATE"
        await locker.execute(sql, transfer_id)
        call = asyncio.create_task(
            handlers.cancel_interbank_transfer(deps, order.customer_id, transfer_id)
        )
        await _until_step_waits(bank)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
    await locker.close()
    await _until_state(bank, order, State.CANCELLED)


async def _until_step_waits(bank: LedgerBank) -> None:
    looker = await bank.superuser("bp_write")
    waiting = WAITS.replace("debit", "advance")

    async def waits() -> bool:
        return bool(await looker.fetchval(waiting))

    await until(waits, 10, "the cancellation waits for the transfer")


async def test_a_caller_that_gives_up_in_the_queue_is_not_debited(
    deps: Dependencies, bank: LedgerBank
) -> None:
    holder = await bank.open_holder(5_00)
    begun: list[str] = []
    ends = asyncio.Event()

    async def roll_back_at_the_end(_orders: Any) -> Any:
        begun.append("batch")
        await ends.wait()
        raise asyncpg.QueryCanceledError

    # The first batch does not end yet, so the second order stays in the queue.
    debits = cast("Any", deps.store)._debits
    debits._perform = roll_back_at_the_end
    create = handlers.create_interbank_transfer
    calls = [asyncio.create_task(create(deps, order_of(holder), None)) for _ in range(2)]

    async def in_the_queue() -> bool:
        return begun == ["batch"] and len(debits._waiting) == 1

    await until(in_the_queue, 10, "one order is in a batch and one waits")
    (_, waiting, _) = debits._waiting[0]
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    await until(lambda: _cancelled(waiting), 10, "the waiting order is dropped")
    ends.set()
    await deps.driver.drain(scaled_s(20))
    assert await bank.held(holder.account_id) == (5_00, 1)


async def _cancelled(future: "asyncio.Future[Any]") -> bool:
    return future.cancelled()


class _LosesOneAnswer(Store):
    """Loses the connection once, after the commit of a batch of debits."""

    lost: "asyncio.Event | None" = None

    async def _debit_each(self, orders: Any) -> Any:
        outcomes = await super()._debit_each(orders)
        if self.lost is None:
            self.lost = asyncio.Event()
            await self.lost.wait()
            raise asyncpg.ConnectionDoesNotExistError("connection was closed")
        return outcomes


async def test_a_debit_whose_answer_was_lost_is_driven_although_its_account_is_busy_now(
    deps: Dependencies, house: _House, bank: LedgerBank, postgres: PostgresStore
) -> None:
    """Previously, the caller got a 409, and the transfer waited for its lease to expire."""
    pool = await postgres.pool("bp_payments")
    store = _LosesOneAnswer(pool, BatchLimits(interval_s=0.0, batches_max=2))
    driver = Driver(store, cast("Any", house), "test/0")
    deps = replace(deps, store=store, driver=driver)
    house.answers.set()
    order = order_of(holder := await bank.open_holder(5_00))
    create = handlers.create_interbank_transfer
    call = asyncio.create_task(create(deps, order, None))
    await _until_state(bank, order, State.DEBITED)
    locker: asyncpg.Connection = await postgres.session("postgres")
    async with locker.transaction():
        sql = "SELECT FROM ledger.account WHERE account_id = $1 FOR UPDATE"
        await locker.execute(sql, holder.account_id)
        # This debit waits for the account; then the first debit is retried.
        other = asyncio.create_task(create(deps, order_of(holder), None))
        await until(lambda: _is_waiting(store), 10, "the other debit waits")
        assert store.lost is not None
        store.lost.set()
        answer = await call
        with pytest.raises(AccountBusy):
            await other
    await _until_state(bank, order, State.SUBMITTED)
    assert await handlers.create_interbank_transfer(deps, order, None) == answer
    assert await bank.held(holder.account_id) == (4_00, 2)
    await driver.drain(60.0)
    await locker.close()
    await pool.close()


async def _is_waiting(store: Store) -> bool:
    return store._held.waiting == 1


async def test_a_debit_whose_answer_was_lost_and_that_may_still_commit_is_no_busy_account(
    deps: Dependencies, bank: LedgerBank, postgres: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker looks for the debit again, as after any unknown outcome of a debit."""

    async def lose(*_: object) -> None:
        raise asyncpg.ConnectionDoesNotExistError

    monkeypatch.setattr(cast("Any", deps.store)._debits, "_perform", lose)
    await deps.driver.resume()
    order = order_of(await bank.open_holder(5_00))
    first: asyncpg.Connection = await postgres.session("postgres")
    transaction = first.transaction()
    await transaction.start()
    # The first statement, which still runs, holds the key.
    await first.execute(
        "INSERT INTO payments.idempotency_key VALUES ($1, $2, $3, $4, $5)",
        shard_of(order.account_id),
        order.customer_id,
        order.idempotency_key,
        order.fingerprint,
        new_id(shard_of(order.account_id)),
    )
    with pytest.raises(asyncpg.ConnectionDoesNotExistError):
        await handlers.create_interbank_transfer(deps, order, None)
    await transaction.rollback()
    await first.close()
    assert deps.driver._interrupt_time is not None


async def test_a_repetition_of_an_abandoned_transfer_drives_it_and_answers_with_its_state(
    deps: Dependencies, house: _House, bank: LedgerBank
) -> None:
    holder = await bank.open_holder(5_00)
    order = order_of(holder)
    # Another worker debited it and was killed; its lease has not ended.
    transfer, _ = await debit(deps.store, order, Lease("gone/0", deps.driver.lease().until))
    answer = await handlers.create_interbank_transfer(deps, order, None)
    assert answer == mapping.response_bytes(transfer)
    house.answers.set()
    await _until_state(bank, order, State.SUBMITTED)
    assert await handlers.create_interbank_transfer(deps, order, None) == answer
    assert await bank.held(holder.account_id) == (4_00, 2)


async def test_a_worker_that_stops_lets_its_sagas_end_and_gives_back_the_leases_of_the_rest(
    deps: Dependencies, house: _House, bank: LedgerBank
) -> None:
    order = order_of(await bank.open_holder(5_00))
    await handlers.create_interbank_transfer(deps, order, None)
    draining = asyncio.create_task(deps.driver.drain(60.0))
    await asyncio.sleep(0)
    house.answers.set()
    await draining
    assert await _state(bank, order) == "SUBMITTED"
    house.answers.clear()
    hanging = order_of(await bank.open_holder(5_00))
    await handlers.create_interbank_transfer(deps, hanging, None)
    await deps.driver.drain(0.0)
    write = await bank.superuser("bp_write")
    sql = "SELECT lease_until FROM payments.interbank_transfer WHERE idempotency_key = $1"
    lease_until: datetime | None = await write.fetchval(sql, hanging.idempotency_key)
    assert lease_until is not None
    assert lease_until <= utc_now()


async def test_debits_for_which_nobody_waits_are_dropped_when_their_batch_was_rolled_back(
    deps: Dependencies, bank: LedgerBank, postgres: PostgresStore
) -> None:
    """Each debit was retried alone for five seconds, ahead of the calls of other customers."""
    holder = await bank.open_holder(50_00)
    locker: asyncpg.Connection = await postgres.session("postgres")
    async with locker.transaction():
        sql = "SELECT FROM ledger.account WHERE account_id = $1 FOR UPDATE"
        await locker.execute(sql, holder.account_id)
        calls = [
            asyncio.create_task(handlers.create_interbank_transfer(deps, order_of(holder), None))
            for _ in range(20)
        ]
        await _until_debit_waits(bank)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)

        async def few_are_left() -> bool:
            return len(deps.driver._carried) <= ALONE_MAX + 1

        await until(few_are_left, 20, "only debits that have begun are left")
        other = order_of(await bank.open_holder(5_00))
        await asyncio.wait_for(handlers.create_interbank_transfer(deps, other, None), scaled_s(20))
    await locker.close()


async def test_a_stop_without_a_database_keeps_the_leases_and_fails_nothing(
    deps: Dependencies, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> None:
        raise ConnectionRefusedError

    monkeypatch.setattr(Store, "release_leases", away)
    with capture_logs() as logs:
        await deps.driver.drain(0.0)
    assert [one["event"] for one in logs] == ["saga.leases_kept"]


async def test_a_failed_check_ends_the_other_checks_of_the_order(
    deps: Dependencies, bank: LedgerBank
) -> None:
    """Previously, they continued without a caller, and also while the worker stopped."""
    ended: list[str] = []

    class _Slow(_Friends):
        async def check_debit(self, *_: object) -> CheckDebitResponse:
            raise ConnectionResetError

        async def score(self, _order: InterbankTransferOrder) -> Score:
            try:
                return await asyncio.Future()
            finally:
                ended.append("score")

    slow = cast("Any", _Slow())
    with pytest.raises(ConnectionResetError):
        await handlers.create_interbank_transfer(
            replace(deps, customers=slow, fraud=slow), order_of(await bank.open_holder(5_00)), None
        )
    assert ended == ["score"]
