"""Lost notices: the bank queries the clearing house, and nothing is applied twice."""

import uuid
from collections import Counter
from typing import Any

import pytest

from ops.waiting import until
from tests.rigs.running_bank import Bank

QUERY = "GET /ach/transfer"
LEASE = "SELECT lease_until, attempts FROM payments.interbank_transfer WHERE transfer_id = $1"


async def wait_is_over(bank: Bank, *transfer_ids: str) -> None:
    """End the wait of payments for notices of these transfers."""
    sql = "UPDATE payments.interbank_transfer SET lease_until = now() WHERE transfer_id = ANY($1)"
    await bank.rows("bp_write", sql, [uuid.UUID(one) for one in transfer_ids])


async def notices(bank: Bank, transfer_id: str) -> Counter[str]:
    """Count a transfer's notices and query answers by state."""
    sql = "SELECT state FROM payments.ach_notice WHERE transfer_id = $1"
    rows = await bank.rows("bp_write", sql, uuid.UUID(transfer_id))
    return Counter(row["state"] for row in rows)


async def entries(bank: Bank, transfer_id: str) -> int:
    sql = "SELECT count(*) AS n FROM ledger.entry WHERE reference = $1"
    return (await bank.rows("bp_write", sql, uuid.UUID(transfer_id)))[0]["n"]


@pytest.mark.parametrize(
    ("account_number", "state", "balance"),
    [("123456", "COMPLETED", 4_900_00), ("1239902", "RETURNED", 5_000_00)],
)
async def test_a_transfer_whose_notices_are_all_lost_ends_by_query_and_a_late_one_changes_nothing(
    bank: Bank, account_number: str, state: str, balance: int
) -> None:
    ana = await bank.customer()
    paid = (await bank.pay(ana, 100_00, accountNumber=account_number)).body
    transfer_id = paid["transferId"]
    await bank.two_banking_days_untold()
    try:
        assert (await bank.transfer(ana, transfer_id))["state"] == "SUBMITTED"
        await wait_is_over(bank, transfer_id)
        ended = await bank.in_state(ana, transfer_id, state)
        assert ended.get("returnCode", "") == ("R02" if state == "RETURNED" else "")
        assert (await entries(bank, transfer_id), await bank.posted(ana)) == (4, balance)
        assert await notices(bank, transfer_id) == {"APPLIED": 1}
    finally:
        await bank.release_notices()
    assert await notices(bank, transfer_id) == {"APPLIED": 1, "STALE": 1}
    assert await bank.transfer(ana, transfer_id) == ended
    assert (await entries(bank, transfer_id), await bank.posted(ana)) == (4, balance)


async def test_a_late_return_whose_notice_is_lost_credits_the_customer(bank: Bank) -> None:
    ana = await bank.customer()
    paid = (await bank.pay(ana, 100_00, accountNumber="1238803")).body
    transfer_id = paid["transferId"]
    await bank.two_banking_days()
    await bank.in_state(ana, transfer_id, "COMPLETED")
    try:
        for _ in range(3):
            await bank.two_banking_days_untold()
        assert (await bank.transfer(ana, transfer_id))["state"] == "COMPLETED"
        sql = "UPDATE payments.late_return_check SET due_time = now() WHERE transfer_id = $1"
        await bank.rows("bp_write", sql, uuid.UUID(transfer_id))
        ended = await bank.in_state(ana, transfer_id, "RETURNED")
        assert (ended["returnCode"], await bank.posted(ana)) == ("R03", 5_000_00)
    finally:
        await bank.release_notices()
    assert await notices(bank, transfer_id) == {"APPLIED": 2, "STALE": 1}


async def test_a_notice_and_a_query_at_the_same_time_are_applied_once(bank: Bank) -> None:
    ana = await bank.customer()
    numbers = ["123456", "1239902"] * 8
    paid = [(await bank.pay(ana, 10_00, accountNumber=number)).body for number in numbers]
    transfer_ids = [one["transferId"] for one in paid]
    await bank.two_banking_days_untold()
    # Half of the answers arrive before the notices, half after them but within one attempt of the
    # sidecar (mesh/config/partners/ach-network.yaml).
    late = {"ms": 5000}
    await bank.fault("ach", kind="latency", endpoint=QUERY, rate=0.5, seed=1, params=late)
    await wait_is_over(bank, *transfer_ids)
    await _release_at_an_answer(bank, transfer_ids)
    ends = {"123456": "COMPLETED", "1239902": "RETURNED"}
    for number, transfer_id in zip(numbers, transfer_ids, strict=True):
        await bank.in_state(ana, transfer_id, ends[number])
        assert await entries(bank, transfer_id) == 4
        told = await _settled_notices(bank, transfer_id)
        assert told == {"APPLIED": 1, "STALE": 1}
    assert 0 < await _applied_by_query(bank, transfer_ids) < len(paid)
    assert await bank.posted(ana) == 5_000_00 - 8 * 10_00


async def _release_at_an_answer(bank: Bank, transfer_ids: list[str]) -> None:
    """Release the notices when payments has the first answer and waits for the late ones."""

    async def answered() -> int:
        return await _applied_by_query(bank, transfer_ids)

    try:
        await until(answered, 30, "an answer to a query")
    finally:
        await bank.release_notices()


async def _applied_by_query(bank: Bank, transfer_ids: list[str]) -> int:
    """Count the transfers that ended by the answer to a query."""
    sql = """
        SELECT count(*) AS n FROM payments.ach_notice
        WHERE transfer_id = ANY($1) AND state = 'APPLIED' AND notice_id LIKE 'query/%'
    """
    ids = [uuid.UUID(one) for one in transfer_ids]
    return (await bank.rows("bp_write", sql, ids))[0]["n"]


async def _settled_notices(bank: Bank, transfer_id: str) -> Counter[str]:
    """Wait until neither notice nor query answer is pending; count both by state."""

    async def settled() -> Counter[str] | None:
        told = await notices(bank, transfer_id)
        return told if told.total() == 2 and not told["KEPT"] else None

    return await until(settled, 30, "every notice judged")


async def test_a_transfer_still_in_flight_is_unchanged_and_queried_later(
    bank: Bank,
) -> None:
    ana = await bank.customer()
    transfer_id = (await bank.pay(ana, 100_00)).body["transferId"]
    await wait_is_over(bank, transfer_id)

    async def postponed() -> Any:
        hours_away = LEASE + " AND lease_until BETWEEN now() + '5 h' AND now() + '1 day'"
        rows = await bank.rows("bp_write", hours_away, uuid.UUID(transfer_id))
        return rows[0] if rows else None

    row = await until(postponed, 30, "an answer that the transfer is still in flight")
    assert row["attempts"] == 1
    assert (await bank.transfer(ana, transfer_id))["state"] == "SUBMITTED"
    assert await notices(bank, transfer_id) == {}
    await bank.two_banking_days()
    await bank.in_state(ana, transfer_id, "COMPLETED")


async def test_a_transfer_unknown_to_the_clearing_house_becomes_a_conflict(
    bank: Bank,
) -> None:
    ana = await bank.customer()
    transfer_id = (await bank.pay(ana, 100_00)).body["transferId"]
    denied = {"status": 404, "reason": "NOT_FOUND"}
    await bank.fault("ach", kind="reject", endpoint=QUERY, params=denied)
    await wait_is_over(bank, transfer_id)

    async def aside() -> bool:
        return await notices(bank, transfer_id) == {"CONFLICT": 1}

    await until(aside, 30, "a conflict")
    assert "reconciliation.conflict" in bank.stack.log("payments")
    assert (await bank.transfer(ana, transfer_id))["state"] == "SUBMITTED"
    assert (await entries(bank, transfer_id), await bank.posted(ana)) == (2, 4_900_00)
    rows = await bank.rows("bp_write", LEASE + " AND isfinite(lease_until)", uuid.UUID(transfer_id))
    assert rows == []
    await bank.clear_faults("ach")
    await bank.two_banking_days()
    await bank.in_state(ana, transfer_id, "COMPLETED")


async def test_notices_that_match_nothing_do_not_keep_later_ones_from_their_transfers(
    bank: Bank,
) -> None:
    ana = await bank.customer()
    paid = (await bank.pay(ana)).body
    strangers = [str(uuid.uuid4()) for _ in range(200)]
    insert = """
        INSERT INTO payments.ach_notice
            (notice_id, type, trace_number, return_code, state, receive_time)
        SELECT n, 'transfer.completed', t, '', 'KEPT', now() - s * interval '1 second'
        FROM unnest($1::text[], $2::text[], $3::integer[]) u (n, t, s)
    """
    known = str(uuid.uuid4())
    traces = ["99" + stranger.replace("-", "")[:13] for stranger in strangers]
    ages = [*([3600] * len(strangers)), 1]
    await bank.rows("bp_write", insert, [*strangers, known], [*traces, paid["traceNumber"]], ages)
    try:
        await bank.in_state(ana, paid["transferId"], "COMPLETED", timeout_s=30)
    finally:
        delete = "DELETE FROM payments.ach_notice WHERE notice_id = ANY($1)"
        await bank.rows("bp_write", delete, strangers)
    await bank.two_banking_days()
