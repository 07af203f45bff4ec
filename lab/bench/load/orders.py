"""The requests of a run, built before it starts: many customers, each with a token and an account.

The second factor of each token is old, as it is after the first minutes of a session. So the bank
looks up the beneficiary of each payment, and each customer has paid its beneficiary before.

Amounts and account numbers avoid the values to which the clearing house's sandbox reacts: no
account ends in 99NN or 88NN, no amount is near 400,000 minor units.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass

from lab.bench.test_bench import TestBench
from sandbox.client import TOKEN_LIFE_S, BankClient
from sandbox.seed import people, planting

CUSTOMERS = 256
"""Enough customers that none reaches the gateway's rate limit."""

ROUTING = "021000021"
TOKENS_AT_ONCE = 16
FACTOR_AGE_S = 600
"""Age of a token's second factor; above `max_age` of the payments' step-up rule."""

_KNOW = {
    "payments": """
        INSERT INTO payments.known_beneficiary (shard, customer_id, beneficiary, transfer_id)
        SELECT ledger.shard_of(k.customer_id), k.customer_id,
            payments.beneficiary_digest(k.customer_id, '021000021', k.number), k.customer_id
        FROM unnest($1::uuid[], $2::text[]) AS k (customer_id, number)
        ON CONFLICT DO NOTHING""",
    "transfers": """
        INSERT INTO transfers.known_beneficiary (shard, customer_id, account_id, transfer_id)
        SELECT ledger.shard_of(k.customer_id), k.customer_id, k.account_id, k.customer_id
        FROM unnest($1::uuid[], $2::uuid[]) AS k (customer_id, account_id)
        ON CONFLICT DO NOTHING""",
}
"""Service -> the statement that makes each customer's beneficiary known to it."""

Request = tuple[str, str]
"""The text up to the value of the idempotency key, and the body."""


@dataclass(frozen=True, slots=True)
class Payer:
    """One customer who pays in a run."""

    user_name: str
    token: str

    @property
    def account_id(self) -> str:
        """The account that pays."""
        return str(people.account_id(self.user_name))


async def payers(
    test_bench: TestBench, count: int = CUSTOMERS, *, begin_in_s: float = 0.0
) -> list[Payer]:
    """Create missing customers, and get each customer a token.

    The tokens are valid from `begin_in_s` seconds after now, and their lifetime is counted from
    then. So a long run can get its later tokens before it starts.
    """
    await planting.load(test_bench.connect, count)
    names = [person.user_name for person in people.load_people(count)]
    await _make_known(test_bench, names)
    client, gate = BankClient(test_bench.stack), asyncio.Semaphore(TOKENS_AT_ONCE)

    async def payer(name: str) -> Payer:
        async with gate:
            subject = people.customer_id(name)
            old = {"auth_time": int(time.time()) - FACTOR_AGE_S}
            lifetime_s = begin_in_s + TOKEN_LIFE_S
            return Payer(name, await client.token(subject, lifetime_s=lifetime_s, claims=old))

    try:
        return list(await asyncio.gather(*map(payer, names)))
    finally:
        await client.close()


async def _make_known(test_bench: TestBench, names: Sequence[str]) -> None:
    """Note each customer's beneficiaries as paid: at another bank, and the next customer."""
    ids = [people.customer_id(name) for name in names]
    numbers = [_account_number(number) for number in range(len(names))]
    accounts = [people.account_id(name) for name in [*names[1:], names[0]]]
    connection = await test_bench.connect("bp_write")
    try:
        await connection.execute(_KNOW["payments"], ids, numbers)
        await connection.execute(_KNOW["transfers"], ids, accounts)
    finally:
        await connection.close()


def _account_number(number: int) -> str:
    """Return the account at another bank that a customer of this number pays."""
    return f"{70_000 + number}1234"


def interbank(test_bench: TestBench, callers: Sequence[Payer]) -> list[Request]:
    """Return one request for each customer: pay a beneficiary at another bank."""
    return [
        _request(
            test_bench,
            "/v1/transfers/interbank",
            caller,
            {
                "accountId": caller.account_id,
                "amount": {"currencyCode": "USD", "minorUnits": str(100 + number)},
                "beneficiary": {
                    "name": f"Bo Rivera {number}",
                    "routingNumber": ROUTING,
                    "accountNumber": _account_number(number),
                    "accountType": "CHECKING",
                },
                "memo": "rent",
            },
        )
        for number, caller in enumerate(callers)
    ]


def book(test_bench: TestBench, callers: Sequence[Payer]) -> list[Request]:
    """Return one request for each customer: pay the next customer."""
    following = itertools.islice(itertools.cycle(callers), 1, None)
    return [
        _request(
            test_bench,
            "/v1/transfers/internal",
            caller,
            {
                "accountId": caller.account_id,
                "destinationAccountId": payee.account_id,
                "amount": {"currencyCode": "USD", "minorUnits": str(100 + number)},
                "memo": "dinner",
            },
        )
        for number, (caller, payee) in enumerate(zip(callers, following, strict=False))
    ]


def _request(test_bench: TestBench, path: str, caller: Payer, content: object) -> Request:
    body = json.dumps(content, separators=(",", ":"))
    head = (
        f"POST {path} HTTP/1.1\r\n"
        f"Host: {test_bench.gateway_host}:{test_bench.gateway_port}\r\n"
        f"Authorization: Bearer {caller.token}\r\n"
        "Content-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n"
        "Idempotency-Key: "
    )
    return head, body
