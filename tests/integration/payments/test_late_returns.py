"""Payments queries a completed transfer again when a return window has ended, and only then."""

import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from lab.simulator.services.places import NOWHERE
from services.kernel.clock import utc_now
from services.payments import notices, reconciliation
from services.payments.dependencies import Dependencies
from services.payments.driver import Driver
from services.payments.saga import Answer, Outcome
from services.payments.settings import PaymentsSettings
from services.payments.state import Event, State
from services.payments.store import Store
from services.payments.transfer import Fact, Notice, Transfer
from tests.integration.payments.orders import debit, order_of
from tests.rigs.ledger_bank import LedgerBank

SETTINGS = PaymentsSettings(service="payments", **NOWHERE)


class _House:
    """A clearing house that knows how each transfer ended."""

    submit = recall = None

    def __init__(self) -> None:
        self.asked: list[uuid.UUID] = []
        self.answers: dict[uuid.UUID, Callable[[Transfer], Answer]] = {}

    async def query(self, transfer: Transfer) -> Answer:
        self.asked.append(transfer.transfer_id)
        return self.answers.get(transfer.transfer_id, settled)(transfer)


def settled(transfer: Transfer) -> Answer:
    return Answer(Outcome.SETTLED, transfer.trace_number)


def returned(transfer: Transfer) -> Answer:
    return Answer(Outcome.RETURNED, transfer.trace_number, return_code="R10")


def silent(_transfer: Transfer) -> Answer:
    return Answer(Outcome.NO_ANSWER)


def forgotten(_transfer: Transfer) -> Answer:
    return Answer(Outcome.NOT_FOUND)


def of_another(_transfer: Transfer) -> Answer:
    return Answer(Outcome.RETURNED, "991000019999999", return_code="R10")


class _Bank:
    """Payments with its store and a clearing house, and a customer whose transfer is completed."""

    def __init__(self, store: Store, bank: LedgerBank) -> None:
        self.store, self.bank, self.ach, self.settings = store, bank, _House(), SETTINGS
        wait_s, return_wait_s = SETTINGS.settlement_wait_s, SETTINGS.return_wait_s
        self.driver = Driver(store, cast("Any", self.ach), "test/0", wait_s, return_wait_s)
        self.deps = cast("Dependencies", self)

    async def completed(self) -> Transfer:
        self.holder = await self.bank.open_holder(5_00)
        transfer, _ = await debit(self.store, order_of(self.holder), self.driver.lease())
        trace = str(transfer.transfer_id.int)[-15:]
        moved, _ = await self.driver.save(transfer, Fact(Event.ACCEPTED, trace_number=trace))
        moved, _ = await self.driver.save(moved, Fact(Event.COMPLETED, trace_number=trace))
        return moved

    async def state(self, transfer: Transfer) -> State:
        stored = await self.store.transfer(transfer.transfer_id)
        assert stored is not None
        return stored.transfer.state

    async def due_time(self, transfer: Transfer) -> datetime | None:
        write = await self.bank.superuser("bp_write")
        sql = "SELECT due_time FROM payments.late_return_check WHERE transfer_id = $1"
        return await write.fetchval(sql, transfer.transfer_id)

    async def days_pass(self, transfer: Transfer, days: int) -> None:
        """Move the transfer's settlement and its check into the past."""
        write = await self.bank.superuser("bp_write")
        sql = """UPDATE payments.late_return_check
            SET settle_time = settle_time - $2::interval, due_time = due_time - $2::interval
            WHERE transfer_id = $1"""
        await write.execute(sql, transfer.transfer_id, timedelta(days=days))

    async def look(self) -> None:
        await reconciliation.ask_for_late_returns(self.deps)


@pytest.fixture
def payments(store: Store, bank: LedgerBank) -> _Bank:
    return _Bank(store, bank)


async def test_a_completed_transfer_is_asked_about_once_after_each_window(payments: _Bank) -> None:
    transfer = await payments.completed()
    for day, asked in ((0, 0), (5, 0), (2, 1), (0, 1), (50, 1), (6, 2), (365, 2)):
        await payments.days_pass(transfer, day)
        await payments.look()
        assert payments.ach.asked.count(transfer.transfer_id) == asked, f"after {day} more days"
    assert await payments.due_time(transfer) is None
    assert await payments.state(transfer) is State.COMPLETED


@pytest.mark.parametrize("days", [7, 63])
async def test_a_late_return_whose_notice_was_lost_credits_the_customer(
    payments: _Bank, days: int
) -> None:
    transfer = await payments.completed()
    payments.ach.answers[transfer.transfer_id] = returned
    await payments.days_pass(transfer, days)
    await payments.look()
    assert await payments.state(transfer) is State.RETURNED
    assert await payments.bank.held(payments.holder.account_id) == (5_00, 3)
    assert await payments.due_time(transfer) is None


async def test_a_return_by_notice_ends_the_checks(payments: _Bank) -> None:
    transfer = await payments.completed()
    notice = Notice(str(uuid.uuid4()), "transfer.returned", "", transfer.transfer_id, "R03")
    await notices.take_in_notice(payments.deps, notice)
    assert await payments.due_time(transfer) is None


async def test_a_silent_clearing_house_is_asked_again_soon(payments: _Bank) -> None:
    transfer = await payments.completed()
    payments.ach.answers[transfer.transfer_id] = silent
    await payments.days_pass(transfer, 7)
    await payments.look()
    due = await payments.due_time(transfer)
    assert due is not None
    assert due - utc_now() < timedelta(minutes=2)
    assert await payments.state(transfer) is State.COMPLETED


async def test_a_contradiction_is_for_a_person_and_a_forgotten_transfer_is_none(
    payments: _Bank,
) -> None:
    odd, old = await payments.completed(), await payments.completed()
    payments.ach.answers = {odd.transfer_id: of_another, old.transfer_id: forgotten}
    for transfer in (odd, old):
        await payments.days_pass(transfer, 63)
    with capture_logs() as logs:
        await payments.look()
    told = [one["transfer_id"] for one in logs if one["event"] == "reconciliation.conflict"]
    assert told == [str(odd.transfer_id)]
    for transfer in (odd, old):
        assert await payments.due_time(transfer) is None
        assert await payments.state(transfer) is State.COMPLETED


async def test_a_late_return_under_a_used_notice_id_is_not_lost(payments: _Bank) -> None:
    """The return's notice is a CONFLICT, but the clearing house itself confirms the return."""
    transfer, notice_id = await payments.completed(), str(uuid.uuid4())
    completion = Notice(notice_id, "transfer.completed", "", transfer.transfer_id, "")
    await notices.take_in_notice(payments.deps, completion)
    late = Notice(notice_id, "transfer.returned", "", transfer.transfer_id, "R10")
    await notices.take_in_notice(payments.deps, late)
    assert await payments.state(transfer) is State.COMPLETED
    payments.ach.answers[transfer.transfer_id] = returned
    await payments.days_pass(transfer, 1)
    await payments.look()
    assert await payments.state(transfer) is State.RETURNED
    assert await payments.bank.held(payments.holder.account_id) == (5_00, 3)


async def test_a_used_notice_id_causes_no_query_within_a_minute(payments: _Bank) -> None:
    """Each query found a used id, so the next was due immediately and the worker never stopped."""
    transfer, notice_id = await payments.completed(), str(uuid.uuid4())
    await notices.take_in_notice(
        payments.deps, Notice(notice_id, "transfer.completed", "", transfer.transfer_id, "")
    )
    before = utc_now()
    late = Notice(notice_id, "transfer.returned", "", transfer.transfer_id, "R10")
    await notices.take_in_notice(payments.deps, late)
    due = await payments.due_time(transfer)
    assert due is not None
    assert timedelta(minutes=1) <= due - before < timedelta(minutes=5)


async def test_a_used_notice_id_that_comes_again_does_not_postpone_the_query(
    payments: _Bank,
) -> None:
    """Each repetition moved the check by a minute, so it never became due."""
    transfer, notice_id = await payments.completed(), str(uuid.uuid4())
    late = Notice(notice_id, "transfer.returned", "", transfer.transfer_id, "R10")
    completion = replace(late, type="transfer.completed", return_code="")
    await notices.take_in_notice(payments.deps, completion)
    await notices.take_in_notice(payments.deps, late)
    due = await payments.due_time(transfer)
    await notices.take_in_notice(payments.deps, late)
    assert await payments.due_time(transfer) == due
    await payments.days_pass(transfer, 7)
    await notices.take_in_notice(payments.deps, late)
    await payments.look()
    assert payments.ach.asked == [transfer.transfer_id]


async def test_the_search_for_due_checks_seeks_by_its_index(bank: LedgerBank) -> None:
    write = await bank.superuser("bp_write")
    await write.execute("SET enable_seqscan = off")  # else the planner scans this small table
    plan = await write.fetch(
        "EXPLAIN SELECT transfer_id FROM payments.late_return_check"
        " WHERE due_time < now() ORDER BY due_time LIMIT 16"
    )
    await write.execute("RESET enable_seqscan")
    text = "\n".join(row[0] for row in plan)
    assert "Index Scan using late_return_check_due" in text
    assert "Filter" not in text, text
