"""Kept notices wait for their transfer, for a limited time, and do not delay each other."""

import uuid
from datetime import datetime, timedelta
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from services.kernel.clock import utc_now
from services.payments import notices
from services.payments.dependencies import Dependencies
from services.payments.driver import Driver
from services.payments.notice_store import ROWS_MAX
from services.payments.state import Event, State
from services.payments.store import Store
from services.payments.transfer import Fact, Notice, Transfer
from tests.integration.payments.orders import debit, order_of
from tests.rigs.ledger_bank import LedgerBank


class _Deps:
    """The dependencies that notices need: the store, and a driver that only saves."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.driver = Driver(store, cast("Any", _NoHouse()), "test/0")


class _NoHouse:
    """A clearing house that no test calls."""

    submit = query = recall = None


@pytest.fixture
def deps(store: Store) -> Dependencies:
    return cast("Any", _Deps(store))


def notice_about(transfer: Transfer, kind: str) -> Notice:
    return Notice(str(uuid.uuid4()), kind, "", transfer.transfer_id, "")


async def submitted(deps: Dependencies, bank: LedgerBank) -> Transfer:
    holder = await bank.open_holder(5_00)
    transfer, _ = await debit(deps.store, order_of(holder), deps.driver.lease())
    trace = str(transfer.transfer_id.int)[-15:]
    moved, _ = await deps.driver.save(transfer, Fact(Event.ACCEPTED, trace_number=trace))
    return moved


async def state_of(bank: LedgerBank, notice: Notice) -> str | None:
    write = await bank.superuser("bp_write")
    sql = "SELECT state FROM payments.ach_notice WHERE notice_id = $1"
    return await write.fetchval(sql, notice.notice_id)


async def test_notices_of_a_type_of_another_version_stay_kept_and_keep_no_other_waiting(
    deps: Dependencies, bank: LedgerBank
) -> None:
    transfer = await submitted(deps, bank)
    unknown = [notice_about(transfer, "transfer.corrected") for _ in range(ROWS_MAX)]
    for notice in unknown:
        await deps.store.notices.keep(notice)
    known = notice_about(transfer, "transfer.completed")
    await deps.store.notices.keep(known)
    await notices.match_kept_notices(deps)
    stored = await deps.store.transfer(transfer.transfer_id)
    assert stored is not None
    assert stored.transfer.state is State.COMPLETED
    assert await state_of(bank, known) == "APPLIED"
    assert await state_of(bank, unknown[0]) == "KEPT"


async def test_a_notice_that_never_matches_becomes_a_conflict_and_is_logged(
    deps: Dependencies, bank: LedgerBank
) -> None:
    stranger = Notice(str(uuid.uuid4()), "transfer.completed", "", uuid.uuid4(), "")
    young = Notice(str(uuid.uuid4()), "transfer.completed", "", uuid.uuid4(), "")
    matching = notice_about(await submitted(deps, bank), "transfer.completed")
    for notice in (stranger, young, matching):
        await deps.store.notices.keep(notice)
    write = await bank.superuser("bp_write")
    received: datetime = utc_now() - notices.NOTICE_WAIT - timedelta(minutes=1)
    sql = "UPDATE payments.ach_notice SET receive_time = $2 WHERE notice_id = ANY ($1)"
    await write.execute(sql, [stranger.notice_id, matching.notice_id], received)
    with capture_logs() as logs:
        await notices.give_up_old_notices(deps)
    assert await state_of(bank, stranger) == "CONFLICT"
    assert await state_of(bank, young) == await state_of(bank, matching) == "KEPT"
    told = [one["notice_id"] for one in logs if one["event"] == "webhook.never_matched"]
    assert told == [stranger.notice_id]


async def test_a_notice_without_a_key_is_never_applied_to_one_of_two_transfers_that_fit(
    deps: Dependencies, bank: LedgerBank
) -> None:
    old, trace = await submitted(deps, bank), f"9910{uuid.uuid4().int % 10**11:011d}"
    write = await bank.superuser("bp_write")
    new = await submitted(deps, bank)
    sql = "UPDATE payments.interbank_transfer SET trace_number = $2 WHERE transfer_id = ANY ($1)"
    await write.execute(sql, [old.transfer_id, new.transfer_id], trace)
    notice = Notice(str(uuid.uuid4()), "transfer.completed", trace, None, "")
    await notices.take_in_notice(deps, notice)
    assert await state_of(bank, notice) == "CONFLICT"
    unknown = Notice(str(uuid.uuid4()), "transfer.completed", trace, uuid.uuid4(), "")
    await notices.take_in_notice(deps, unknown)
    await notices.match_kept_notices(deps)
    assert await state_of(bank, unknown) == "KEPT"
    for one in (old, new):
        stored = await deps.store.transfer(one.transfer_id)
        assert stored is not None
        assert stored.transfer.state is State.SUBMITTED
