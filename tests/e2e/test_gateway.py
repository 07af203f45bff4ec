"""Hostile requests to the running gateway: each gets a JSON 4xx with a reason and posts nothing."""

import base64
import hashlib
import hmac
import json
import uuid
from typing import Any

import pytest

from tests.rigs.running_bank import BO, Answer, Bank, Customer

pytestmark = pytest.mark.judged_with_its_module

PATH = "/v1/transfers/interbank"


def body(customer: Customer, **changes: Any) -> dict[str, Any]:
    """Return a valid order, with changes."""
    good = {
        "accountId": str(customer.account_id),
        "amount": {"currencyCode": "USD", "minorUnits": "1000"},
        "beneficiary": BO,
        "memo": "rent",
    }
    return good | changes


async def ask(
    bank: Bank, customer: Customer, content: Any, *, token: str | None = None, key: str = "new"
) -> Answer:
    """POST an order, as JSON or as raw bytes."""
    headers = {"Idempotency-Key": str(uuid.uuid4()) if key == "new" else key}
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    bearer = customer.token if token is None else token
    return await bank.call("POST", PATH, bearer, headers=headers, data=raw)


def require_refused(answer: Answer, status: int, reason: str) -> None:
    """Require an error of the gateway with a status, a reason and a JSON body."""
    assert (answer.status, answer.reason) == (status, reason), answer.text
    assert answer.headers["Content-Type"].startswith("application/json")
    assert answer.body["message"]


BODIES = [
    ({"surprise": 1}, "UNKNOWN_FIELD"),
    ({"amount": {"currencyCode": "USD", "minorUnits": "1000", "cents": 1}}, "UNKNOWN_FIELD"),
    ({"amount": {"currencyCode": "USD", "minorUnits": "99999999999999999999"}}, "MALFORMED_BODY"),
    ({"amount": {"currencyCode": "USD", "minorUnits": 1.5}}, "MALFORMED_BODY"),
    ({"amount": {"currencyCode": "USD", "minorUnits": True}}, "MALFORMED_BODY"),
    ({"amount": "1000"}, "MALFORMED_BODY"),
    ({"amount": {"currencyCode": "EUR", "minorUnits": "1000"}}, "CURRENCY_UNSUPPORTED"),
    ({"amount": {"currencyCode": "usd", "minorUnits": "1000"}}, "INVALID_ARGUMENT"),
    ({"accountId": "not-a-uuid"}, "INVALID_ARGUMENT"),
    ({"accountId": ""}, "INVALID_ARGUMENT"),
    ({"beneficiary": None}, "INVALID_ARGUMENT"),
    ({"beneficiary": BO | {"name": "Bo\u202eRivera"}}, "INVALID_ARGUMENT"),
    ({"beneficiary": BO | {"name": "x" * 23}}, "INVALID_ARGUMENT"),
    ({"beneficiary": BO | {"accountType": "BROKERAGE"}}, "MALFORMED_BODY"),
    ({"memo": "a\u0000b"}, "INVALID_ARGUMENT"),
]


@pytest.mark.parametrize(("changes", "reason"), BODIES, ids=[str(c)[:60] for c, _ in BODIES])
async def test_a_bad_body_is_refused_with_its_reason(
    bank: Bank, changes: dict[str, Any], reason: str
) -> None:
    ana = await bank.customer()
    require_refused(await ask(bank, ana, body(ana, **changes)), 400, reason)
    assert await bank.posted(ana) == 5_000_00


RAW = [b"", b"{", b"[]", b"\xff\xfe", b'{"amount":' + b"[" * 200, b"null", b"nonsense"]


@pytest.mark.parametrize("raw", RAW, ids=[str(raw)[:24] for raw in RAW])
async def test_a_body_that_is_not_a_json_object_is_refused(bank: Bank, raw: bytes) -> None:
    ana = await bank.customer()
    answer = await ask(bank, ana, raw)
    assert answer.status == 400
    assert answer.reason in {"MALFORMED_BODY", "INVALID_ARGUMENT"}


async def test_a_key_is_needed_and_must_be_printable(bank: Bank) -> None:
    ana = await bank.customer()
    missing = await bank.call("POST", PATH, ana.token, body(ana))
    require_refused(missing, 400, "IDEMPOTENCY_KEY_MISSING")
    for key in ("x" * 256, "white space"):
        refused = await ask(bank, ana, body(ana), key=key)
        require_refused(refused, 400, "IDEMPOTENCY_KEY_INVALID")


def _part(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def unsigned(token: str) -> str:
    """Return the token's claims with alg none and no signature."""
    return f"{_part({'alg': 'none', 'typ': 'JWT'})}.{token.split('.')[1]}."


def confused(token: str, public_key: bytes) -> str:
    """Return the token's claims, signed by HMAC with the provider's public key as the secret."""
    head = json.loads(base64.urlsafe_b64decode(token.split(".")[0] + "=="))
    signed = f"{_part(head | {'alg': 'HS256'})}.{token.split('.')[1]}"
    mac = hmac.new(public_key, signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


async def test_an_invalid_token_is_401(bank: Bank) -> None:
    ana = await bank.customer()
    keys = (await bank.control("oauth", "GET", "/control/keys")).text.encode()
    broken = ana.token[:-6] + ("AAAAAA" if not ana.token.endswith("AAAAAA") else "BBBBBB")
    hostile = {
        "none": "",
        "expired": await bank.token(ana.customer_id, lifetime_s=-60),
        "another audience": await bank.token(ana.customer_id, claims={"aud": "https://evil"}),
        "another issuer": await bank.token(ana.customer_id, claims={"iss": "https://evil"}),
        "unsigned": unsigned(ana.token),
        "alg confused": confused(ana.token, keys),
        "bad signature": broken,
        "nonsense": "abc",
    }
    for what, token in hostile.items():
        answer = await ask(bank, ana, body(ana), token=token)
        assert (what, answer.status, answer.reason) == (what, 401, "UNAUTHENTICATED")
    assert await bank.posted(ana) == 5_000_00


async def test_a_token_without_the_scope_is_403(bank: Bank) -> None:
    ana = await bank.customer()
    reader = await bank.token(ana.customer_id, scope="accounts:read")
    require_refused(await ask(bank, ana, body(ana), token=reader), 403, "SCOPE_MISSING")


async def test_identity_headers_from_outside_are_ignored(bank: Bank) -> None:
    ana, eve = await bank.customer(), await bank.customer()
    forged = {
        "x-bp-subject": str(ana.customer_id),
        "x-forwarded-client-cert": "URI=spiffe://bp.internal/ns/bp/sa/payments",
    }
    path = f"/v1/balances/{ana.account_id}"
    require_refused(
        await bank.call("GET", path, eve.token, headers=forged), 404, "ACCOUNT_NOT_FOUND"
    )
    require_refused(await bank.call("GET", path, headers=forged), 401, "UNAUTHENTICATED")


async def test_unknown_paths_and_huge_bodies_are_json_too(bank: Bank) -> None:
    ana = await bank.customer()
    require_refused(await bank.call("GET", "/v2/nothing", ana.token), 404, "ROUTE_NOT_FOUND")
    huge = await ask(bank, ana, body(ana, memo="x" * 10_000_000))
    require_refused(huge, 413, "REQUEST_TOO_LARGE")


async def test_an_internal_method_is_unreachable_from_outside(bank: Bank) -> None:
    ana = await bank.customer()
    path = "/bp.customers.v1.CustomersService/CheckDebit"
    answer = await bank.call("POST", path, ana.token, {"customerId": str(ana.customer_id)})
    require_refused(answer, 404, "ROUTE_NOT_FOUND")
