"""The statement, the numbers and the times of transfers through the gateway."""

from datetime import date, datetime
from typing import Any

import pytest

from tests.rigs.running_bank import Bank, Customer

pytestmark = pytest.mark.judged_with_its_module


async def test_a_statement_has_what_came_in_and_went_out_and_a_transfer_its_dates(
    bank: Bank,
) -> None:
    ana, luis = await bank.customer(50_00), await bank.customer(50_00)
    sent = await bank.pay(ana, 10_00)
    assert sent.status == 200, sent.text
    received = await bank.book(luis, ana, 5_00)
    assert received.status == 200, received.text
    path = f"/v1/accounts/{ana.account_id}/entries"
    first = await bank.call("GET", f"{path}?pageSize=2", ana.token)
    assert first.status == 200, first.text
    entries = first.body["entries"]
    assert [(one["type"], one["amount"]["minorUnits"]) for one in entries] == [
        ("BOOK_TRANSFER", "500"),
        ("INTERBANK_DEBIT", "-1000"),
    ]
    assert [one["balance"]["minorUnits"] for one in entries] == ["4500", "4000"]
    assert entries[0]["transferId"] == received.body["transferId"]
    assert entries[0]["counterparty"]["accountId"] == str(luis.account_id)
    moment = entries[1]["createTime"]
    rest = f"{path}?pageSize=2&pageToken={first.body['nextPageToken']}"
    oldest = await bank.call("GET", rest, ana.token)
    assert [one["type"] for one in oldest.body["entries"]] == ["OPENING_BALANCE"]
    newer = await bank.call("GET", f"{path}?createTimeFrom={moment}&type=BOOK_TRANSFER", ana.token)
    assert [one["position"] for one in newer.body["entries"]] == [entries[0]["position"]]
    wrong = await bank.call("GET", f"{path}?createTimeFrom=yesterday", ana.token)
    assert (wrong.status, wrong.reason) == (400, "INVALID_ARGUMENT")
    foreign = await bank.call("GET", path, luis.token)
    assert (foreign.status, foreign.reason) == (404, "ACCOUNT_NOT_FOUND")
    assert sent.body["version"] == "2"
    assert sent.body["submitTime"] >= sent.body["createTime"]
    submitted = datetime.fromisoformat(sent.body["submitTime"]).date()
    assert date.fromisoformat(sent.body["expectedSettlementDate"]) > submitted
    listed = await bank.call(
        "GET",
        f"/v1/transfers/internal?accountId={ana.account_id}&direction=RECEIVED",
        ana.token,
    )
    assert [one["transferId"] for one in listed.body["transfers"]] == [received.body["transferId"]]
    account = await account_of(bank, ana)
    assert len(account["accountNumber"]) == 10
    assert account["balance"]["accountId"] == str(ana.account_id)


async def test_payer_and_payee_see_each_others_names_and_only_the_payer_a_number(
    bank: Bank,
) -> None:
    ana, luis = await bank.customer(), await bank.customer()
    assert (await bank.book(luis, ana, 5_00)).status == 200
    assert await counterparty_of(bank, ana) == {
        "accountId": str(luis.account_id),
        "name": "Guest Customer",
        "routingNumber": "",
        "accountNumberEnding": "",
    }
    assert await counterparty_of(bank, luis) == {
        "accountId": str(ana.account_id),
        "name": "Guest Customer",
        "routingNumber": "",
        "accountNumberEnding": (await account_of(bank, ana))["accountNumber"][-4:],
    }


async def counterparty_of(bank: Bank, customer: Customer) -> dict[str, str]:
    """Return the other party of the newest entry of the customer's account."""
    path = f"/v1/accounts/{customer.account_id}/entries?pageSize=1"
    statement = await bank.call("GET", path, customer.token)
    return statement.body["entries"][0]["counterparty"]


async def account_of(bank: Bank, customer: Customer) -> dict[str, Any]:
    """Return the customer's only account."""
    accounts = await bank.call("GET", "/v1/accounts", customer.token)
    (account,) = accounts.body["accounts"]
    return account
