"""A trace number that another recent transfer has raises an alarm when the bank learns of it."""

import uuid
from typing import Any, cast

import asyncpg
import pytest
from structlog.testing import capture_logs

from services.kernel.clock import utc_now
from services.payments import notices
from services.payments.driver import Driver
from services.payments.state import Event, State
from services.payments.store import Store
from services.payments.traces import UNIQUE_FOR, Learned
from services.payments.transfer import Fact, Notice, Transfer
from tests.integration.payments.orders import debit, order_of
from tests.rigs.ledger_bank import LedgerBank


class _NoHouse:
    """A clearing house that no test calls."""

    submit = query = recall = None


@pytest.fixture
def driver(store: Store) -> Driver:
    return Driver(store, cast("Any", _NoHouse()), f"test/{uuid.uuid4().hex}")


async def accepted(driver: Driver, store: Store, bank: LedgerBank, trace: str) -> Transfer:
    holder = await bank.open_holder(5_00)
    transfer, _ = await debit(store, order_of(holder), driver.lease())
    moved, _ = await driver.save(transfer, Fact(Event.ACCEPTED, trace_number=trace))
    return moved


def a_trace() -> str:
    return f"9910{uuid.uuid4().int % 10**11:011d}"


async def alarms(driver: Driver) -> list[str]:
    with capture_logs() as logs:
        await driver.traces.compare()
    return [one["transfer_id"] for one in logs if one["event"] == "saga.trace_number_taken"]


async def test_an_acceptance_with_the_trace_number_of_another_transfer_raises_one_alarm(
    driver: Driver, store: Store, bank: LedgerBank
) -> None:
    trace = a_trace()
    first = await accepted(driver, store, bank, trace)
    await accepted(driver, store, bank, a_trace())
    assert await alarms(driver) == []
    second = await accepted(driver, store, bank, trace)
    assert await alarms(driver) == [str(second.transfer_id)]
    assert await alarms(driver) == []
    returned = Notice(str(uuid.uuid4()), "transfer.returned", trace, None, "R03")
    await notices.take_in_notice(cast("Any", _Deps(store, driver)), returned)
    for one in (first, second):
        stored = await store.transfer(one.transfer_id)
        assert stored is not None
        assert stored.transfer.state is State.SUBMITTED, "a person decides whose return it is"


class _Deps:
    """The dependencies that notices need."""

    def __init__(self, store: Store, driver: Driver) -> None:
        self.store, self.driver = store, driver


async def test_two_acceptances_at_once_with_one_trace_number_raise_an_alarm(
    driver: Driver, store: Store, bank: LedgerBank
) -> None:
    trace = a_trace()
    both = [await accepted(driver, store, bank, trace) for _ in range(2)]
    assert await alarms(driver) == [str(one.transfer_id) for one in both]


async def test_a_number_that_was_used_long_ago_is_free_again(
    store: Store, bank: LedgerBank, driver: Driver
) -> None:
    """The clearing house's sequence starts again after some time."""
    trace = a_trace()
    await accepted(driver, store, bank, trace)
    second = await accepted(driver, store, bank, trace)
    learned = [Learned(second.transfer_id, trace, utc_now())]
    assert await store.traces.taken(learned, utc_now() + UNIQUE_FOR) == []
    assert await store.traces.taken(learned, utc_now() - UNIQUE_FOR) == [second.transfer_id]


def worker(store: Store, slot: str = "test/0") -> Driver:
    return Driver(store, cast("Any", _NoHouse()), slot)


async def test_a_worker_that_stops_compares_its_last_trace_numbers(
    driver: Driver, store: Store, bank: LedgerBank
) -> None:
    """Previously, the numbers of the last five seconds before a stop were never compared."""
    trace = a_trace()
    both = [await accepted(driver, store, bank, trace) for _ in range(2)]
    with capture_logs() as logs:
        await driver.drain(0.0)
    assert [one["transfer_id"] for one in logs] == [str(one.transfer_id) for one in both]


@pytest.mark.parametrize("events", [(), (Event.COMPLETED,)])
async def test_after_a_kill_the_trace_numbers_since_the_last_comparison_are_compared(
    store: Store, bank: LedgerBank, events: tuple[Event, ...]
) -> None:
    slot = f"test/{uuid.uuid4().hex}"
    killed, trace = worker(store, slot), a_trace()
    assert await alarms(killed) == []
    both = [await accepted(killed, store, bank, trace) for _ in range(2)]
    for event in events:
        both = [(await killed.save(one, Fact(event, trace_number=trace)))[0] for one in both]
    found = await alarms(worker(store, slot))
    assert {str(one.transfer_id) for one in both} <= {*found}
    newcomer = worker(store, f"test/{uuid.uuid4().hex}")
    assert await alarms(newcomer) == [], "a slot without an earlier process has nothing to compare"


async def test_the_trace_number_of_a_step_whose_answer_was_lost_is_compared(
    driver: Driver, store: Store, bank: LedgerBank, monkeypatch: pytest.MonkeyPatch
) -> None:
    trace = a_trace()
    await accepted(driver, store, bank, trace)
    assert await alarms(driver) == []
    save_batch = store._advance_batch

    async def lose_the_answer(steps: Any) -> Any:
        await save_batch(steps)
        raise asyncpg.ConnectionDoesNotExistError

    monkeypatch.setattr(store._steps, "_perform", lose_the_answer)
    transfer, _ = await debit(store, order_of(await bank.open_holder(5_00)), driver.lease())
    with pytest.raises(asyncpg.ConnectionDoesNotExistError):
        await driver.save(transfer, Fact(Event.ACCEPTED, trace_number=trace))
    assert await alarms(driver) == [str(transfer.transfer_id)]
