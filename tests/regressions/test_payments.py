"""Bugs of payments."""

import asyncio
import signal
import uuid

from tests.e2e.bank import Bank


async def test_the_answer_after_the_wait_tells_the_state_of_now_and_not_of_the_debit(
    bank: Bank,
) -> None:
    ana = await bank.customer()
    await bank.fault("ach", kind="reset", endpoint="POST /ach/transfer")
    await bank.fault("ach", kind="hang", endpoint="GET /ach/transfer")
    answered = await bank.pay(ana)
    assert (answered.status, answered.body["state"]) == (200, "OUTCOME_UNKNOWN")
    await bank.mend("ach")
    await bank.close_breakers()
    await bank.in_state(ana, answered.body["transferId"], "FAILED", timeout_s=90)


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


async def test_the_list_of_anothers_account_is_not_found_and_not_empty(bank: Bank) -> None:
    ana, eve = await bank.customer(), await bank.customer()
    await bank.pay(ana)
    path = "/v1/transfers/interbank?accountId={}"
    foreign = await bank.call("GET", path.format(ana.account_id), eve.token)
    assert (foreign.status, foreign.reason) == (404, "ACCOUNT_NOT_FOUND")
    own = await bank.call("GET", path.format(eve.account_id), eve.token)
    assert (own.status, own.body["transfers"]) == (200, [])


async def test_customers_that_hang_are_an_outage_to_wait_for_and_no_defect_of_the_bank(
    bank: Bank,
) -> None:
    ana = await bank.customer()
    await asyncio.to_thread(bank.stack.kill, "customers", signal.SIGSTOP)
    try:
        refused = await bank.pay(ana)
    finally:
        await asyncio.to_thread(bank.stack.kill, "customers", signal.SIGCONT)
    assert (refused.status, refused.reason) == (503, "DEPENDENCY_UNAVAILABLE")
    assert int(refused.headers["Retry-After"]) > 0
    assert (await bank.pay(ana)).status == 200


async def test_a_refusal_is_refunded_only_when_no_other_attempt_can_arrive_any_more(
    bank: Bank,
) -> None:
    ana = await bank.customer()
    await bank.fault("ach", kind="reject", endpoint="POST /ach/transfer", count=1)
    refused = await bank.pay(ana, 100_00)
    assert (refused.status, refused.reason) == (400, "ACH_REFUSED")
    assert await bank.posted(ana) == 5_000_00
    transfer_id = refused.body["details"][0]["metadata"]["transfer_id"]
    # An attempt that was long on its way, judged otherwise than the one that was refused.
    late = await bank.submit_to_ach(transfer_id, 100_00)
    assert (late.status, late.body["error"]["code"]) == (409, "CANCELLED")


async def test_a_refusal_whose_answer_was_lost_is_refunded_with_its_reason_and_closed_to_others(
    bank: Bank,
) -> None:
    ana = await bank.customer()
    silence = {"ms": 300}
    await bank.fault("ach", kind="accept_then_hang", endpoint="POST /ach/transfer", params=silence)
    refused = await bank.pay(ana, 100_00, accountNumber="12")
    assert (refused.status, refused.reason) == (400, "INVALID_BENEFICIARY_ACCOUNT")
    assert await bank.posted(ana) == 5_000_00
    transfer_id = refused.body["details"][0]["metadata"]["transfer_id"]
    assert (await bank.at_ach(transfer_id))["state"] == "CANCELLED"
