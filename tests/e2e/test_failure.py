"""A partner or a service of the bank fails: no money is lost or duplicated."""

import asyncio
import json
import signal
import uuid

import pytest
from aiohttp import ClientError

from ops.bpctl.reviewer import os_user
from ops.waiting import until
from sandbox.client import Answer
from tests.rigs.bpctl import bpctl
from tests.rigs.running_bank import Bank

SUBMIT = "POST /ach/transfer"
QUERY = "GET /ach/transfer"
RECALL = "POST /ach/transfer/cancel"


async def test_a_compensated_failure_is_a_503_with_retry_and_the_money_is_back_once(
    bank: Bank,
) -> None:
    ana = await bank.customer()
    key = str(uuid.uuid4())
    await bank.fault("ach", kind="http_5xx", endpoint=SUBMIT, params={"status": 503})
    failed = await bank.pay(ana, 100_00, key=key)
    assert (failed.status, failed.reason) == (503, "ACH_UNAVAILABLE")
    assert int(failed.headers["Retry-After"]) > 0
    details = {detail["@type"].rpartition(".")[2]: detail for detail in failed.body["details"]}
    transfer_id = details["ErrorInfo"]["metadata"]["transfer_id"]
    assert details["RetryInfo"]["retryDelay"].endswith("s")
    assert await bank.posted(ana) == 5_000_00
    pushes = await bank.pushed(ana)
    assert [push["notification"]["title"] for push in pushes] == ["Transferencia fallida"]
    assert (await bank.at_ach(transfer_id)).get("state") == "CANCELLED"
    await bank.clear_faults("ach")
    again = await bank.pay(ana, 100_00, key=key)
    assert (again.status, again.body["state"]) == (200, "SUBMITTED")
    assert again.body["transferId"] != transfer_id


async def test_a_request_that_the_clearing_house_calls_malformed_is_refunded_at_once(
    bank: Bank,
) -> None:
    ana = await bank.customer()
    malformed = {"status": 400, "reason": "INVALID_REQUEST"}
    await bank.fault("ach", kind="reject", endpoint=SUBMIT, count=1, params=malformed)
    refused = await bank.pay(ana, 100_00)
    assert (refused.status, refused.reason) == (400, "ACH_REFUSED")
    assert (await bank.only_transfer(ana))["state"] == "FAILED"
    assert await bank.posted(ana) == 5_000_00


async def test_a_transfer_accepted_without_an_answer_is_found_by_query_and_not_refunded(
    bank: Bank,
) -> None:
    ana = await bank.customer()
    await bank.fault("ach", kind="accept_then_hang", endpoint=SUBMIT)
    answered = await bank.pay(ana, 100_00)
    assert (answered.status, answered.body["state"]) == (200, "DEBITED")
    found = await bank.in_state(ana, answered.body["transferId"], "SUBMITTED")
    assert (await bank.at_ach(found["transferId"]))["achTraceNumber"] == found["traceNumber"]
    assert await bank.posted(ana) == 4_900_00


async def test_an_unknown_outcome_keeps_the_money_in_clearing_and_is_resolved_automatically(
    bank: Bank,
) -> None:
    ana = await bank.customer()
    await bank.fault("ach", kind="http_5xx", endpoint="*", params={"status": 503})
    answered = await bank.pay(ana, 100_00)
    assert answered.status == 200
    transfer_id = answered.body["transferId"]
    await bank.in_state(ana, transfer_id, "OUTCOME_UNKNOWN")
    assert await bank.posted(ana) == 4_900_00
    await bank.clear_faults("ach")
    # The circuit breaker opens after five failures; after a minute the saga asks again.
    await bank.close_breakers()
    await bank.in_state(ana, transfer_id, "FAILED", timeout_s=120)
    assert await bank.posted(ana) == 5_000_00


async def test_a_late_arrival_after_the_recall_is_refused_by_the_tombstone(bank: Bank) -> None:
    ana = await bank.customer()
    await bank.fault("ach", kind="reset", endpoint=SUBMIT)
    failed = await bank.pay(ana, 100_00)
    assert (failed.status, failed.reason) == (503, "ACH_UNAVAILABLE")
    await bank.clear_faults("ach")
    transfer_id = failed.body["details"][0]["metadata"]["transfer_id"]
    late = await bank.submit_to_ach(transfer_id, 100_00)
    assert (late.status, late.body["error"]["code"]) == (409, "CANCELLED")
    assert await bank.posted(ana) == 5_000_00


async def test_a_refusal_of_the_clearing_house_reverses_the_debit_with_its_reason(
    bank: Bank,
) -> None:
    ana = await bank.customer()
    refused = await bank.pay(ana, 100_00, accountNumber="12")
    assert (refused.status, refused.reason) == (400, "INVALID_BENEFICIARY_ACCOUNT")
    assert await bank.posted(ana) == 5_000_00


async def test_a_transfer_that_has_not_left_is_cancelled_and_one_that_has_is_not(
    bank: Bank,
) -> None:
    ana = await bank.customer()
    first, second = await bank.pay(ana, 10_00), await bank.pay(ana, 20_00)
    path = "/v1/transfers/interbank/{}:cancel"
    cancelled = await bank.call("POST", path.format(first.body["transferId"]), ana.token, {})
    assert (cancelled.status, cancelled.body["state"]) == (200, "CANCELLED")
    again = await bank.call("POST", path.format(first.body["transferId"]), ana.token, {})
    assert again.body["state"] == "CANCELLED"
    assert await bank.posted(ana) == 4_980_00
    await bank.two_banking_days()
    await bank.in_state(ana, second.body["transferId"], "COMPLETED")
    late = await bank.call("POST", path.format(second.body["transferId"]), ana.token, {})
    assert (late.status, late.reason) == (400, "NOT_CANCELLABLE")


REFUSALS = [
    ({"routingNumber": "999999992"}, 10_00, 400, "UNKNOWN_ROUTING_NUMBER"),
    ({"routingNumber": "021000022"}, 10_00, 400, "INVALID_ROUTING_NUMBER"),
    ({"routingNumber": "091000019"}, 10_00, 400, "OWN_ROUTING_NUMBER"),
    ({"name": "FRAUD DECLINE"}, 10_00, 403, "FRAUD_DECLINED"),
    ({}, 100_000_01, 400, "AMOUNT_LIMIT_EXCEEDED"),
    ({}, 5_000_01, 400, "INSUFFICIENT_FUNDS"),
    ({}, 0, 400, "AMOUNT_NOT_POSITIVE"),
    ({}, -1, 400, "AMOUNT_NOT_POSITIVE"),
]


@pytest.mark.judged_with_its_module
@pytest.mark.parametrize(("beneficiary", "minor_units", "status", "reason"), REFUSALS)
async def test_a_refusal_for_the_customers_reasons_posts_nothing(
    bank: Bank, beneficiary: dict[str, str], minor_units: int, status: int, reason: str
) -> None:
    ana = await bank.customer(5_000_00)
    refused = await bank.pay(ana, minor_units, **beneficiary)
    assert (refused.status, refused.reason) == (status, reason)
    sql = "SELECT kind FROM ledger.entry WHERE account_id = $1"
    kinds = [row["kind"] for row in await bank.rows("bp_write", sql, ana.account_id)]
    assert kinds == ["OPENING_BALANCE"]


DECLINES = [
    ({"name": "FRAUD DECLINE"}, 10_00, "FRAUD_DECLINED"),
    ({}, 100_000_01, "AMOUNT_LIMIT_EXCEEDED"),
]


@pytest.mark.judged_with_its_module
@pytest.mark.parametrize(("beneficiary", "minor_units", "reason"), DECLINES)
async def test_a_declined_order_is_on_record_and_in_the_audit_trail_and_sends_no_message(
    bank: Bank, beneficiary: dict[str, str], minor_units: int, reason: str
) -> None:
    ana = await bank.customer(5_000_00)
    refused = await bank.pay(ana, minor_units, **beneficiary)
    assert refused.reason == reason
    sql = (
        "SELECT decline_id, customer_id, amount, reason, fraud_transaction_id"
        " FROM payments.declined_order WHERE account_id = $1"
    )
    (row,) = await bank.rows("bp_write", sql, ana.account_id)
    assert (str(row["customer_id"]), row["amount"]) == (str(ana.customer_id), minor_units)
    assert row["reason"] == reason
    assert row["fraud_transaction_id"] is not None

    async def audited() -> bool:
        sql = "SELECT event_type FROM audit.record WHERE subject = $1"
        found = await bank.rows("bp_audit", sql, str(row["decline_id"]))
        return [one["event_type"] for one in found] == ["bp.payments.v1.TransferDeclined"]

    await until(audited, 30, "the audit record of the declined order")
    sql = "SELECT event_id FROM notif.notification WHERE customer_id = $1"
    assert await bank.rows("bp_notifications", sql, row["customer_id"]) == []


async def test_without_the_fraud_service_small_amounts_are_reviewed_and_large_ones_refused(
    bank: Bank,
) -> None:
    ana = await bank.customer()
    await bank.fault("fraud", kind="http_5xx", endpoint="*", params={"status": 503}, count=4)
    large = await bank.pay(ana, 1_000_01)
    assert (large.status, large.reason) == (503, "FRAUD_CHECK_UNAVAILABLE")
    assert await bank.posted(ana) == 5_000_00
    small = await bank.pay(ana, 1_000_00)
    assert (small.status, small.body["state"]) == (200, "SUBMITTED")
    assert "fraudReview" not in small.body
    transfer_id = small.body["transferId"]
    home = bank.stack.home.root

    async def operate(*arguments: str) -> str:
        done = await asyncio.to_thread(bpctl, home, "reviews", *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    queue = json.loads(await operate("list", "--rows", "1000", "--json"))["reviews"]
    assert transfer_id in {one["transfer_id"] for one in queue}
    said = await operate("refuse", transfer_id, "--note", "unknown payee", "--by", "eva")
    assert said.startswith(f"REFUSED by eva, as {os_user()}.")
    await bank.in_state(ana, transfer_id, "CANCELLED")
    assert await bank.posted(ana) == 5_000_00
    review = json.loads(await operate("show", transfer_id, "--json"))
    assert (review["reviewer"], review["note"]) == ("eva", "unknown payee")
    assert review["os_user"] == os_user()
    assert (review["review"], review["state"]) == ("REFUSED", "CANCELLED")

    async def audited() -> bool:
        sql = "SELECT event_type FROM audit.record WHERE subject = $1"
        found = await bank.rows("bp_audit", sql, transfer_id)
        return "bp.payments.v1.TransferReviewed" in {one["event_type"] for one in found}

    await until(audited, 30, "the audit record of the review")


async def test_a_returned_transfer_credits_the_customer_once_and_says_why(bank: Bank) -> None:
    ana = await bank.customer()
    paid = await bank.pay(ana, 100_00, accountNumber="1239903")
    await bank.two_banking_days()
    returned = await bank.in_state(ana, paid.body["transferId"], "RETURNED")
    assert returned["returnCode"] == "R03"
    assert await bank.posted(ana) == 5_000_00

    async def told() -> bool:
        return len(await bank.pushes(ana)) > 1

    await until(told, 30, "a push about the return")


async def test_the_answer_after_the_wait_has_the_current_state(
    bank: Bank,
) -> None:
    ana = await bank.customer()
    await bank.fault("ach", kind="reset", endpoint="POST /ach/transfer")
    await bank.fault("ach", kind="hang", endpoint="GET /ach/transfer")
    answered = await bank.pay(ana)
    assert (answered.status, answered.body["state"]) == (200, "OUTCOME_UNKNOWN")
    await bank.clear_faults("ach")
    await bank.close_breakers()
    await bank.in_state(ana, answered.body["transferId"], "FAILED", timeout_s=90)


async def test_a_hanging_customers_service_is_a_503_with_retry(
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
    # A delayed attempt arrives that the clearing house would accept, unlike the refused one.
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


async def test_a_gateway_without_the_providers_keys_answers_503_with_retry_and_not_401(
    bank: Bank,
) -> None:
    """Regression: a gateway that started without the provider answered 401 to valid tokens."""
    ana = await bank.customer()

    async def refusal() -> Answer | None:
        try:
            answer = await bank.pay(ana)
        except ClientError:
            return None
        return None if answer.status == 200 else answer

    await bank.fault("oauth", kind="reset")
    # Without the keys the gateway answers, but it is not ready.
    restart = asyncio.create_task(asyncio.to_thread(bank.stack.restart, "gateway"))
    try:
        refused = await until(refusal, 30, "a gateway without keys refuses a call")
    finally:
        await bank.clear_faults("oauth")
        await restart
    assert (refused.status, refused.reason) == (503, "DEPENDENCY_UNAVAILABLE")
    assert int(refused.headers["Retry-After"]) > 0
    assert (await bank.pay(ana)).status == 200
