"""The requests of a run, built beforehand: many customers, each with a token and one account.

Amounts and account numbers are chosen so that the clearing house's magic values are never met: no
account ends in 99NN or 88NN, no amount is near 400,000 minor units.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass

from sandbox.bench.stand import Stand
from sandbox.client import BankClient
from sandbox.seed import people, planting

CUSTOMERS = 256
"""Enough that no customer's bucket at the gateway is ever empty."""

ROUTING = "021000021"
TOKENS_AT_ONCE = 16
TOKEN_LIFE_S = 4 * 3600

Request = tuple[str, str]
"""What stands before the idempotency key's value, and the body."""


@dataclass(frozen=True, slots=True)
class Payer:
    """One customer of the run."""

    user_name: str
    token: str

    @property
    def account_id(self) -> str:
        """The account that pays."""
        return str(people.account_id(self.user_name))


async def payers(stand: Stand, count: int = CUSTOMERS) -> list[Payer]:
    """Open the customers that are missing and get each a token that outlives the bench."""
    await planting.load(stand.connect, count)
    names = [person.user_name for person in people.load_people(count)]
    client, gate = BankClient(stand.stack), asyncio.Semaphore(TOKENS_AT_ONCE)

    async def payer(name: str) -> Payer:
        async with gate:
            subject = people.customer_id(name)
            return Payer(name, await client.token(subject, lifetime_s=TOKEN_LIFE_S))

    try:
        return list(await asyncio.gather(*map(payer, names)))
    finally:
        await client.close()


def interbank(stand: Stand, callers: Sequence[Payer]) -> list[Request]:
    """Return a request for each customer to pay a stranger at another bank."""
    return [
        _request(
            stand,
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


def internal(stand: Stand, callers: Sequence[Payer]) -> list[Request]:
    """Return a request for each customer to pay the next one."""
    following = itertools.islice(itertools.cycle(callers), 1, None)
    return [
        _request(
            stand,
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


def _request(stand: Stand, path: str, caller: Payer, content: object) -> Request:
    body = json.dumps(content, separators=(",", ":"))
    head = (
        f"POST {path} HTTP/1.1\r\n"
        f"Host: {stand.gateway_host}:{stand.gateway_port}\r\n"
        f"Authorization: Bearer {caller.token}\r\n"
        "Content-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n"
        "Idempotency-Key: "
    )
    return head, body
