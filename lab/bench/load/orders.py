"""The requests of a run, built before it starts: many customers, each with a token and an account.

Amounts and account numbers avoid the values to which the clearing house's sandbox reacts: no
account ends in 99NN or 88NN, no amount is near 400,000 minor units.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass

from lab.bench.test_bench import TestBench
from sandbox.client import TOKEN_LIFE_S, BankClient
from sandbox.seed import people, planting

CUSTOMERS = 256
"""Enough customers that none reaches the gateway's rate limit."""

ROUTING = "021000021"
TOKENS_AT_ONCE = 16

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
    client, gate = BankClient(test_bench.stack), asyncio.Semaphore(TOKENS_AT_ONCE)

    async def payer(name: str) -> Payer:
        async with gate:
            subject = people.customer_id(name)
            return Payer(name, await client.token(subject, lifetime_s=begin_in_s + TOKEN_LIFE_S))

    try:
        return list(await asyncio.gather(*map(payer, names)))
    finally:
        await client.close()


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
                    "accountNumber": f"{70_000 + number}1234",
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
