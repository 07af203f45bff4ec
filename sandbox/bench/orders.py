"""The requests of a run, built beforehand: many customers, each with a token and one account.

Amounts and account numbers are chosen so that the clearing house's magic values are never met: no
account ends in 99NN or 88NN, no amount is near 400,000 minor units.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import ssl
from collections.abc import Sequence
from dataclasses import dataclass

import aiohttp

from sandbox.bench.stand import Stand
from sandbox.seed import people, planting

CUSTOMERS = 256
"""Enough that no customer's bucket at the gateway is ever empty."""

ROUTING = "021000021"
TOKENS_AT_ONCE = 16

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
    """Open the customers that are missing and get each a token."""
    await planting.load(stand.connect, count)
    names = [person.user_name for person in people.load_people(count)]
    context = ssl.create_default_context(cafile=stand.where["BP_PARTNER_CA_FILE"])
    gate = asyncio.Semaphore(TOKENS_AT_ONCE)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session:

        async def payer(name: str) -> Payer:
            async with gate:
                return Payer(name, await _token(stand, session, name))

        return list(await asyncio.gather(*map(payer, names)))


async def _token(stand: Stand, session: aiohttp.ClientSession, name: str) -> str:
    form = {
        "grant_type": "customer",
        "client_id": "bp-mobile",
        "client_secret": stand.stack.seed.oauth_client_secret,
        "subject": str(people.customer_id(name)),
    }
    async with session.post(f"{stand.where['BP_PARTNER_OAUTH_URL']}/token", data=form) as answer:
        answer.raise_for_status()
        return (await answer.json())["access_token"]


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
