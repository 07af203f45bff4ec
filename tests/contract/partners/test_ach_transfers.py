"""Submitting, finding, cancelling and listing transfers at the clearing house."""

import re
import ssl
from pathlib import Path

import aiohttp
import pytest

from sandbox.partners.ca import ACH_MEMBERS, Leaf, issue, write_all
from tests.contract.partners.orders import cancel, find, new_key, order, submit
from tests.contract.partners.processes import PartnerProcess, client_context


async def test_an_accepted_transfer_gets_a_trace_number_and_is_found_by_its_key(
    ach: PartnerProcess,
) -> None:
    key = new_key()
    accepted = await submit(ach, key)
    assert accepted.status == 202
    assert re.fullmatch(r"99100001[0-9]{7}", accepted.body["achTraceNumber"])
    assert accepted.body["state"] == "ACCEPTED"
    assert accepted.body["effectiveDate"] == "2026-03-12"
    found = await find(ach, key)
    assert found.status == 200
    assert found.body["achTraceNumber"] == accepted.body["achTraceNumber"]
    assert found.body["amount"] == {"currency": "USD", "minorUnits": 1234}
    assert (await find(ach, new_key())).body["error"]["code"] == "NOT_FOUND"


async def test_one_key_gives_one_transfer_and_refuses_another_payload(ach: PartnerProcess) -> None:
    key = new_key()
    first, second = await submit(ach, key), await submit(ach, key)
    assert second.body == first.body
    other = await submit(ach, key, minor_units=1235)
    assert (other.status, other.body["error"]["code"]) == (409, "IDEMPOTENCY_KEY_REUSED")


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"routing": "021009913"}, 422, "INVALID_ROUTING_NUMBER"),
        ({"routing": "12345"}, 422, "INVALID_ROUTING_NUMBER"),
        ({"routing": "999999992"}, 422, "UNKNOWN_ROUTING_NUMBER"),
        ({"account": "12 34"}, 422, "INVALID_ACCOUNT"),
        ({"account": "123"}, 422, "INVALID_ACCOUNT"),
        ({"account": "NO-DIGIT"}, 422, "INVALID_ACCOUNT"),
        ({"account": "1" * 18}, 422, "INVALID_ACCOUNT"),
        ({"amount": {"currency": "EUR", "minorUnits": 1}}, 422, "INVALID_CURRENCY"),
        ({"minor_units": 0}, 400, "INVALID_REQUEST"),
        ({"minor_units": "12"}, 400, "INVALID_REQUEST"),
        ({"accountType": "BROKERAGE"}, 400, "INVALID_REQUEST"),
        ({"unknown": 1}, 400, "INVALID_REQUEST"),
    ],
)
async def test_a_wrong_transfer_is_refused_with_its_reason_and_does_not_use_up_the_key(
    ach: PartnerProcess, change: dict[str, object], status: int, code: str
) -> None:
    key = new_key()
    refused = await submit(ach, key, **change)
    assert (refused.status, refused.body["error"]["code"]) == (status, code)
    found = await find(ach, key)
    if status == 422:
        assert (found.status, found.body["state"]) == (200, "REJECTED")
        assert (found.body["rejectCode"], found.body["achTraceNumber"]) == (code, None)
    else:
        assert found.status == 404
    assert (await submit(ach, key)).status == 202
    assert (await find(ach, key)).body["state"] == "ACCEPTED"


async def test_a_rejection_does_not_hide_an_accepted_transfer_and_its_key_can_be_cancelled(
    ach: PartnerProcess,
) -> None:
    taken, refused = new_key(), new_key()
    await submit(ach, taken)
    await submit(ach, taken, account="12 34")
    assert (await find(ach, taken)).body["state"] == "ACCEPTED"
    await submit(ach, refused, account="12 34")
    assert (await cancel(ach, refused)).body == {"state": "CANCELLED", "achTraceNumber": None}
    assert (await submit(ach, refused)).body["error"]["code"] == "CANCELLED"
    assert (await submit(ach, refused, account="12 34")).status == 422
    assert (await find(ach, refused)).body["state"] == "CANCELLED"


async def test_a_cancel_of_an_unknown_key_leaves_a_tombstone_that_refuses_a_late_arrival(
    ach: PartnerProcess,
) -> None:
    key = new_key()
    cancelled = await cancel(ach, key)
    assert cancelled.status == 200
    assert cancelled.body == {"state": "CANCELLED", "achTraceNumber": None}
    late = await submit(ach, key)
    assert (late.status, late.body["error"]["code"]) == (409, "CANCELLED")
    assert (await find(ach, key)).body["state"] == "CANCELLED"


async def test_a_transfer_that_is_not_batched_can_be_cancelled_and_stays_cancelled(
    ach: PartnerProcess,
) -> None:
    key = new_key()
    trace = (await submit(ach, key)).body["achTraceNumber"]
    for _ in range(2):
        cancelled = await cancel(ach, key)
        assert cancelled.body == {"state": "CANCELLED", "achTraceNumber": trace}
    again = await submit(ach, key)
    assert (again.status, again.body["error"]["code"]) == (409, "CANCELLED")


async def test_pages_list_every_accepted_transfer_once(ach: PartnerProcess) -> None:
    keys = [new_key() for _ in range(5)]
    for key in keys:
        await submit(ach, key)
    seen: list[str] = []
    cursor: str | None = "0"
    while cursor is not None:
        page = await ach.call("GET", "/ach/transfers", params={"cursor": cursor, "limit": "2"})
        assert len(page.body["transfers"]) <= 2
        seen += [item["idempotencyKey"] for item in page.body["transfers"]]
        cursor = page.body["nextCursor"]
    assert len(seen) == len(set(seen))
    assert [key for key in seen if key in keys] == keys


async def test_the_directory_lists_the_participating_banks(ach: PartnerProcess) -> None:
    listed = (await ach.call("GET", "/ach/participants")).body["participants"]
    assert {"routing": "021009912", "name": "Hudson Test Bank, New York"} in listed
    assert (await ach.call("GET", "/ach/participants/021009912")).status == 200
    unknown = await ach.call("GET", "/ach/participants/999999992")
    assert (unknown.status, unknown.body["error"]["code"]) == (404, "NOT_FOUND")


async def test_a_missing_key_or_api_key_is_refused(ach: PartnerProcess) -> None:
    unkeyed = await ach.call("POST", "/ach/transfer", json=order())
    assert unkeyed.body["error"]["code"] == "MISSING_IDEMPOTENCY_KEY"
    wrong = await ach.call("GET", "/ach/transfers", headers={"X-Api-Key": "wrong"})
    assert (wrong.status, wrong.body["error"]["code"]) == (401, "INVALID_API_KEY")


async def test_a_caller_without_a_client_certificate_is_refused(
    ach: PartnerProcess, certs: Path
) -> None:
    with pytest.raises((aiohttp.ClientError, ssl.SSLError, ConnectionError)):
        await ach.call("GET", "/ach/transfers", context=client_context(certs / "ach-ca.pem"))


async def test_a_certificate_of_another_authority_is_refused(
    ach: PartnerProcess, certs: Path, tmp_path: Path
) -> None:
    write_all(tmp_path, "bp-sandbox")
    for client in (tmp_path / "bp-client.pem", certs / "ach-webhook.pem", certs / "oauth.pem"):
        forged = client_context(certs / "ach-ca.pem", client)
        with pytest.raises((aiohttp.ClientError, ssl.SSLError, ConnectionError)):
            await ach.call("GET", "/ach/transfers", context=forged)


async def test_a_valid_certificate_with_another_name_is_refused(
    ach: PartnerProcess, certs: Path
) -> None:
    issue(certs, Leaf("other-bank", ACH_MEMBERS, "other-bank", client=True))
    other = client_context(certs / "ach-ca.pem", certs / "other-bank.pem")
    refused = await ach.call("GET", "/ach/transfers", context=other)
    assert (refused.status, refused.body["error"]["code"]) == (403, "CLIENT_NOT_ALLOWED")
