"""Other customers' objects and other lists' page tokens are refused as if they did not exist."""

import base64
import uuid
from typing import Any

import pytest

from tests.fuzz.wire import PATH, Case, ask, order, post, refused, request, require_silence
from tests.rigs.running_bank import Bank, Customer

pytestmark = pytest.mark.judged_with_its_module

NO_ACCOUNT, NO_TRANSFER, BAD_PAGE = "ACCOUNT_NOT_FOUND", "TRANSFER_NOT_FOUND", "PAGE_TOKEN_INVALID"
INTERNAL = "/v1/transfers/internal"
INVALID = "INVALID_ARGUMENT"


async def test_another_customers_objects_are_not_found(bank: Bank) -> None:
    ana, eve, bo = await bank.customer(), await bank.customer(), await bank.customer()
    sent = (await bank.pay(ana)).body["transferId"]
    booked = (await bank.book(ana, bo, 1_00)).body["transferId"]
    asked = {
        "a balance": ("GET", f"/v1/balances/{ana.account_id}", NO_ACCOUNT),
        "a list": ("GET", f"{PATH}?accountId={ana.account_id}", NO_ACCOUNT),
        "a list of book transfers": ("GET", f"{INTERNAL}?accountId={ana.account_id}", NO_ACCOUNT),
        "a transfer": ("GET", f"{PATH}/{sent}", NO_TRANSFER),
        "a book transfer": ("GET", f"{INTERNAL}/{booked}", NO_TRANSFER),
        "a cancellation": ("POST", f"{PATH}/{sent}:cancel", NO_TRANSFER),
        "one that is nowhere": ("GET", f"{PATH}/{uuid.uuid4()}", NO_TRANSFER),
        "of the other kind": ("GET", f"{INTERNAL}/{sent}", NO_TRANSFER),
    }
    cases = [
        Case(
            what, request(verb, path, token=eve.token, body=b"" if verb == "POST" else None), 404, r
        )
        for what, (verb, path, r) in asked.items()
    ]
    cases.append(
        Case("a debit", post(eve, order(eve, accountId=str(ana.account_id))), 404, NO_ACCOUNT)
    )
    left = await bank.posted(ana)
    assert await refused(bank, cases) == []
    assert (await bank.posted(ana), await bank.posted(eve)) == (left, 5_000_00)
    require_silence(bank, ana.token, eve.token)


IDS = ["%FF", "%ED%A0%80", "a%0Ab", "%E2%80%AE", "1", "null", "*", "%25", "'", "a" * 4_000]


async def test_a_malformed_id_is_refused(bank: Bank) -> None:
    ana = await bank.customer()
    paths = ("/v1/balances/{}", PATH + "/{}", INTERNAL + "/{}", PATH + "?accountId={}")
    cases = [
        Case(
            f"{path} {text[:20]}", request("GET", path.format(text), token=ana.token), 400, INVALID
        )
        for path in paths
        for text in (*IDS, ana.account_id.hex, f"%7B{ana.account_id}%7D")
    ]
    assert await refused(bank, cases) == []


QUERIES = {
    "pageSize=-1": INVALID,
    "pageSize=2147483648": "MALFORMED_BODY",
    "pageSize=1e1": "MALFORMED_BODY",
    "pageSize=+1": "MALFORMED_BODY",
    "pageSize=%31%30%20": "MALFORMED_BODY",
    "pageSize=": "MALFORMED_BODY",
    "pageSize": "MALFORMED_BODY",
    "pageSize=1&pageSize=2": "MALFORMED_BODY",
    "pageSize=1&page_size=2": "MALFORMED_BODY",
    "pageSize[]=1": "UNKNOWN_FIELD",
    "%70ageSize=1": "UNKNOWN_FIELD",
    "pageSize%00=1": "UNKNOWN_FIELD",
    "=1": "UNKNOWN_FIELD",
    "admin=true": "UNKNOWN_FIELD",
    "pageToken=%FF": INVALID,
    "pageToken=" + "a" * 4_000: INVALID,
}


async def test_a_wrong_query_is_refused(bank: Bank) -> None:
    ana = await bank.customer()
    cases = [
        Case(text[:40], request("GET", f"/v1/accounts?{text}", token=ana.token), 400, reason)
        for text, reason in QUERIES.items()
    ]
    for state in ("1", "submitted", "", "STATE", "SUBMITTED%00", "LOST"):
        path = f"{PATH}?accountId={ana.account_id}&state={state}"
        raw = request("GET", path, token=ana.token)
        cases.append(Case(f"state {state!r}", raw, 400, "MALFORMED_BODY"))
    assert await refused(bank, cases) == []


async def _first_page(bank: Bank, ana: Customer) -> str:
    for _ in range(3):
        await bank.pay(ana)
    path = f"{PATH}?accountId={ana.account_id}&pageSize=1"
    return str((await bank.call("GET", path, ana.token)).body["nextPageToken"])


def _bent(token: str) -> dict[str, str]:
    raw = base64.urlsafe_b64decode(token)
    sealed: dict[str, bytes] = {
        "its seal alone": raw[:16],
        "no seal": raw[16:],
        "a seal of zeros": bytes(16) + raw[16:],
        "one bit": raw[:-1] + bytes([raw[-1] ^ 1]),
        "cut": raw[:-3],
        "longer": raw + b"\0",
        "nothing": b"",
    }
    texts = {w: base64.urlsafe_b64encode(each).decode() for w, each in sealed.items() if each}
    return texts | {
        "no base64": "%25%25",
        "half a group": token[:-1],
        "SQL": "'%20OR%201=1",
        "NUL": "%00",
        "Unicode": "%E2%80%AE",
        "twice itself": token + token,
    }


async def test_a_page_token_is_valid_only_for_its_own_query(bank: Bank) -> None:
    ana, eve = await bank.customer(), await bank.customer()
    token = await _first_page(bank, ana)
    own, hers = f"accountId={ana.account_id}", f"accountId={eve.account_id}"
    asked: dict[str, tuple[str, Customer]] = {
        "another filter": (f"{PATH}?{own}&state=SUBMITTED&pageToken={token}", ana),
        "another list": (f"{INTERNAL}?{own}&pageToken={token}", ana),
        "another service": (f"/v1/accounts?pageToken={token}", ana),
        "notifications": (f"/v1/notifications?pageToken={token}", ana),
        "another's account": (f"{PATH}?{hers}&pageToken={token}", eve),
    }
    for what, text in _bent(token).items():
        asked[what] = (f"{PATH}?{own}&pageToken={text}", ana)
    cases = [
        Case(what, request("GET", path, token=who.token), 400, BAD_PAGE)
        for what, (path, who) in asked.items()
    ]
    assert await refused(bank, cases) == []
    good: Any = await ask(
        bank, request("GET", f"{PATH}?{own}&pageSize=1&pageToken={token}", token=ana.token)
    )
    assert good.status == 200
