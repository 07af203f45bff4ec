"""Does the time of an answer say whether an e-mail address has an account?

An attacker sends a wrong password, a request for a reset or a wrong code of a reset for a known and
for an unknown address at the same moment, so that both meet the same load, and ranks the times
(Mann and Whitney). The share is 0.5 when the times do not differ, and 1.0 when each answer for a
known address takes longer.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from lab.fuzz.addresses import unused_address
from sandbox.client import BankClient

SHARES_OF_CHANCE = 5.0
"""Standard deviations of the share that chance may cause: it goes beyond once in a million runs."""

TRIES_EACH = 4
"""Calls for one account; after the fifth wrong try, auth checks no factor for a while."""
PAIRS_PER_ADDRESS = 40
"""Auth refuses the tries of an address after a hundred wrong ones."""
WRONG = "no customer has this password"


@dataclass(frozen=True)
class Timed:
    """A call without a token, whose time an attacker measures."""

    name: str
    path: str
    refusal: str
    """The reason of the usual answer; "" for a success."""
    body: Callable[[BankClient, str], Awaitable[dict[str, Any]]]
    """Return the body for an address; the time of this is not measured."""


async def _wrong_password(_: BankClient, email: str) -> dict[str, Any]:
    return {"email": email, "password": WRONG}


async def _address(_: BankClient, email: str) -> dict[str, Any]:
    return {"email": email}


async def _wrong_code(bank: BankClient, email: str) -> dict[str, Any]:
    begun = await bank.call("POST", FORGOTS.path, body={"email": email})
    return {"sessionId": begun.body["sessionId"], "otp": "wrong", "newPassword": WRONG}


LOGINS = Timed("login", "/v1/auth/login", "CREDENTIALS_INVALID", _wrong_password)
FORGOTS = Timed("request for a reset", "/v1/auth/password:forgot", "", _address)
RESETS = Timed("reset", "/v1/auth/password:reset", "OTP_INVALID", _wrong_code)
TIMED = (LOGINS, FORGOTS, RESETS)


async def measure(bank: BankClient, pairs: int, timed: Timed) -> tuple[list[float], list[float]]:
    """Send calls for known and unknown addresses; return the seconds of each kind."""
    known_s, unknown_s = list[float](), list[float]()
    known = [await _known(bank) for _ in range(-(-pairs // TRIES_EACH))]
    both: list[tuple[dict[str, Any], list[float]]] = []
    for number in range(pairs):
        if number % PAIRS_PER_ADDRESS == 0:
            await bank.call_from(unused_address())
        if number % TRIES_EACH == 0:
            email = known[number // TRIES_EACH]
            both = [
                (await timed.body(bank, email), known_s),
                (await timed.body(bank, f"x{number}-{email}"), unknown_s),
            ]
        # Of two parallel requests, the bank may check the first one sooner.
        random.shuffle(both)
        await asyncio.gather(*(_timed(bank, timed, body, into) for body, into in both))
    return known_s, unknown_s


async def _known(bank: BankClient) -> str:
    return (await bank.login_identity(await bank.customer(0))).email


async def _timed(bank: BankClient, timed: Timed, body: dict[str, Any], into: list[float]) -> None:
    begun = time.perf_counter()
    answer = await bank.call("POST", timed.path, body=body)
    into.append(time.perf_counter() - begun)
    is_usual = answer.reason == timed.refusal if timed.refusal else answer.status == 200
    if not is_usual:
        raise RuntimeError(f"the bank did not handle the {timed.name} as usual: {answer.text}")


def share_of_slower(known_s: Sequence[float], unknown_s: Sequence[float]) -> float:
    """Return how often a known address took longer than an unknown one, among all pairs of times;
    equal times count as half."""
    above = sum((k > u) + (k == u) / 2 for k in known_s for u in unknown_s)
    return above / (len(known_s) * len(unknown_s))


def share_by_chance(pairs: int) -> float:
    """Return by how much the share may differ from 0.5 when the times have one distribution."""
    deviation = ((2 * pairs + 1) / (12 * pairs * pairs)) ** 0.5
    return SHARES_OF_CHANCE * deviation


def tells(known_s: Sequence[float], unknown_s: Sequence[float]) -> bool:
    """Return whether the times say which address is known."""
    share = share_of_slower(known_s, unknown_s)
    return abs(share - 0.5) > share_by_chance(len(known_s))
