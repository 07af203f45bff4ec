"""A transfer from request to settlement, idempotency, and concurrent requests."""

import asyncio
import uuid

import asyncpg
import pytest

from tests.rigs.running_bank import Bank

pytestmark = pytest.mark.judged_with_its_module


async def test_a_transfer_is_submitted_settles_after_two_banking_days_and_is_notified(
    bank: Bank,
) -> None:
    ana = await bank.customer(5_000_00)
    accepted = await bank.pay(ana, 1_000_00)
    assert accepted.status == 200
    assert accepted.body["state"] == "SUBMITTED"
    assert len(accepted.body["traceNumber"]) == 15
    assert await bank.posted(ana) == 4_000_00
    path = f"/v1/transfers/interbank/{accepted.body['transferId']}"
    first = await bank.call("GET", path, ana.token)
    assert (first.status, first.headers.get("etag")) == (200, accepted.body["etag"]), first
    poll = {"If-None-Match": first.body["etag"]}
    assert (await bank.call("GET", path, ana.token, headers=poll)).status == 304
    await bank.two_banking_days()
    settled = await bank.in_state(ana, accepted.body["transferId"], "COMPLETED")
    newer = await bank.call("GET", path, ana.token, headers=poll)
    assert (newer.status, newer.headers["etag"]) == (200, settled["etag"])
    assert settled["traceNumber"] == accepted.body["traceNumber"]
    assert await bank.posted(ana) == 4_000_00
    await bank.pushed(ana, 2)
    told = (await bank.call("GET", "/v1/notifications", ana.token)).body["notifications"]
    assert [one["template"] for one in told] == ["TRANSFER_COMPLETED", "TRANSFER_SUBMITTED"]


async def test_the_same_key_and_payload_replay_the_first_answer_byte_for_byte(bank: Bank) -> None:
    ana = await bank.customer()
    key = str(uuid.uuid4())
    first = await bank.pay(ana, 10_00, key=key)
    await bank.two_banking_days()
    await bank.in_state(ana, first.body["transferId"], "COMPLETED")
    again = await bank.pay(ana, 10_00, key=key)
    assert (again.status, again.text) == (200, first.text)
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    other = await bank.pay(ana, 11_00, key=key)
    assert (other.status, other.reason) == (409, "IDEMPOTENCY_KEY_REUSED")
    assert await bank.posted(ana) == 4_990_00


async def test_keys_belong_to_their_customer(bank: Bank) -> None:
    ana, luis = await bank.customer(), await bank.customer()
    key = str(uuid.uuid4())
    first, second = await bank.pay(ana, key=key), await bank.pay(luis, key=key)
    assert (first.status, second.status) == (200, 200)
    assert first.body["transferId"] != second.body["transferId"]


async def test_one_key_from_fifty_connections_is_one_transfer_and_one_body(bank: Bank) -> None:
    ana = await bank.customer()
    key = str(uuid.uuid4())
    answers = await asyncio.gather(*(bank.pay(ana, 10_00, key=key) for _ in range(50)))
    assert {answer.status for answer in answers} == {200}
    assert len({answer.text for answer in answers}) == 1
    assert await bank.posted(ana) == 4_990_00


async def test_fifty_debits_of_a_whole_balance_succeed_exactly_once(bank: Bank) -> None:
    ana = await bank.customer(900_00)
    answers = await asyncio.gather(*(bank.pay(ana, 900_00) for _ in range(50)))
    assert sorted(answer.status for answer in answers) == [200] + [400] * 49
    refused = {answer.reason for answer in answers if answer.status == 400}
    assert refused == {"INSUFFICIENT_FUNDS"}
    assert await bank.posted(ana) == 0


async def test_a_refusal_does_not_use_up_the_key(bank: Bank) -> None:
    ana, luis = await bank.customer(5_00), await bank.customer(100_00)
    key = str(uuid.uuid4())
    refused = await bank.pay(ana, 10_00, key=key)
    assert (refused.status, refused.reason) == (400, "INSUFFICIENT_FUNDS")
    assert (await bank.book(luis, ana, 50_00)).status == 200
    assert (await bank.pay(ana, 10_00, key=key)).status == 200


async def test_a_book_transfer_moves_money_at_once_and_a_caller_reads_its_own_write(
    bank: Bank,
) -> None:
    ana, luis = await bank.customer(100_00), await bank.customer(0)
    moved = await bank.book(ana, luis, 40_00)
    assert (moved.status, moved.body["state"]) == (200, "COMPLETED")
    path = f"/v1/balances/{ana.account_id}?atLeastPosition=2"
    balance = (await bank.call("GET", path, ana.token)).body
    assert balance["available"] == {"currencyCode": "USD", "minorUnits": "6000"}
    assert balance["position"] == "2"
    assert await bank.posted(luis) == 40_00


async def test_a_lists_next_page_keeps_its_filters(bank: Bank) -> None:
    ana = await bank.customer()
    for _ in range(3):
        await bank.pay(ana, 1_00)
    path = f"/v1/transfers/interbank?accountId={ana.account_id}&state=SUBMITTED&pageSize=2"
    first = (await bank.call("GET", path, ana.token)).body
    token = first["nextPageToken"]
    second = (await bank.call("GET", f"{path}&pageToken={token}", ana.token)).body
    ids = [t["transferId"] for t in first["transfers"] + second["transfers"]]
    assert (len(ids), len(set(ids)), second["nextPageToken"]) == (3, 3, "")
    other = path.replace("SUBMITTED", "FAILED")
    moved = await bank.call("GET", f"{other}&pageToken={token}", ana.token)
    assert (moved.status, moved.reason) == (400, "PAGE_TOKEN_INVALID")


async def test_other_customers_resources_are_not_found(bank: Bank) -> None:
    ana, eve = await bank.customer(), await bank.customer()
    paid = await bank.pay(ana)
    seen = await bank.call("GET", f"/v1/transfers/interbank/{paid.body['transferId']}", eve.token)
    assert (seen.status, seen.reason) == (404, "TRANSFER_NOT_FOUND")
    balance = await bank.call("GET", f"/v1/balances/{ana.account_id}", eve.token)
    assert (balance.status, balance.reason) == (404, "ACCOUNT_NOT_FOUND")
    body_of_ana = await bank.customer()
    stolen = await bank.pay(
        type(eve)(eve.user_name, eve.customer_id, body_of_ana.account_id, eve.token)
    )
    assert (stolen.status, stolen.reason) == (404, "ACCOUNT_NOT_FOUND")


async def test_a_frozen_account_is_not_debited(bank: Bank) -> None:
    fausto = await bank.customer(100_00, state="FROZEN")
    refused = await bank.pay(fausto)
    assert (refused.status, refused.reason) == (400, "ACCOUNT_FROZEN")
    assert await bank.posted(fausto) == 100_00


async def test_the_list_of_anothers_account_is_not_found_and_not_empty(bank: Bank) -> None:
    ana, eve = await bank.customer(), await bank.customer()
    await bank.pay(ana)
    path = "/v1/transfers/interbank?accountId={}"
    foreign = await bank.call("GET", path.format(ana.account_id), eve.token)
    assert (foreign.status, foreign.reason) == (404, "ACCOUNT_NOT_FOUND")
    own = await bank.call("GET", path.format(eve.account_id), eve.token)
    assert (own.status, own.body["transfers"]) == (200, [])


async def test_a_push_is_in_the_language_that_customers_keeps_for_the_customer(bank: Bank) -> None:
    eva = await bank.customer()
    connection = await asyncpg.connect(bank.stack.dsn("bp_customers"))
    try:
        await connection.execute(
            "UPDATE customers.customer SET locale = 'en' WHERE customer_id = $1", eva.customer_id
        )
    finally:
        await connection.close()
    await bank.pay(eva, 10_00)
    (push,) = await bank.pushed(eva)
    assert push["notification"]["title"] == "Transfer sent"
