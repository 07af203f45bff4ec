"""Does the time of an answer say whether an e-mail address has an account?

An attacker sends a wrong password, a request for a reset or a wrong code of a reset for a known and
for an unknown address at the same moment, so that both meet the same load, and ranks the times
(Mann and Whitney). Or the attacker requests a reset, and times another call right after the answer,
which the work of an account would slow. The share is 0.5 when the times do not differ, and 1.0 when
each answer for a known address takes longer.
"""

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lab.fuzz.addresses import unused_address
from sandbox.client import NO_REASON, BankClient

SHARES_OF_CHANCE = 5.0
"""Standard deviations of the share that chance may cause: it goes beyond once in a million runs."""

TRIES_EACH = 4
"""Calls for one account; after the fifth wrong try, auth checks no factor for a while."""
PAIRS_PER_ADDRESS = 40
"""Auth refuses the tries of an address after a hundred wrong ones."""
PAUSE_S = 0.05
"""After this time, work that begins with an answer slows no later call."""
WRONG = "no customer has this password"


@dataclass(frozen=True)
class Timed:
    """A call without a token, whose time an attacker measures."""

    name: str
    path: str
    expected: tuple[int, str]
    """Status and reason of the usual answer."""


LOGINS = Timed("login", "/v1/auth/login", (401, "CREDENTIALS_INVALID"))
FORGOTS = Timed("request for a reset", "/v1/auth/password:forgot", (200, NO_REASON))
RESETS = Timed("reset", "/v1/auth/password:reset", (401, "OTP_INVALID"))
AFTER_FORGOTS = Timed(
    "call after a request for a reset", "/v1/auth/verify-otp", (401, "LOGIN_SESSION_INVALID")
)
TIMED = (LOGINS, FORGOTS, RESETS, AFTER_FORGOTS)
NO_SESSION = {"sessionId": "x" * 43, "otp": "123456"}


async def measure(bank: BankClient, pairs: int, timed: Timed) -> tuple[list[float], list[float]]:
    """Send calls for known and unknown addresses; return the seconds of each kind."""
    if timed is AFTER_FORGOTS:
        return await _measure_after(bank, pairs)
    known_s, unknown_s = list[float](), list[float]()
    known = [await _known(bank) for _ in range(-(-pairs // TRIES_EACH))]
    both: list[tuple[dict[str, Any], list[float]]] = []
    for number in range(pairs):
        if number % PAIRS_PER_ADDRESS == 0:
            await bank.call_from(unused_address())
        if number % TRIES_EACH == 0:
            email = known[number // TRIES_EACH]
            both = [
                (await _body(bank, timed, email), known_s),
                (await _body(bank, timed, f"x{number}-{email}"), unknown_s),
            ]
        # Of two parallel requests, the bank may check the first one sooner.
        random.shuffle(both)
        await asyncio.gather(*(_timed(bank, timed, body, into) for body, into in both))
    return known_s, unknown_s


async def _measure_after(bank: BankClient, pairs: int) -> tuple[list[float], list[float]]:
    """Request resets one after the other, and time the call after each; see `measure`."""
    known_s, unknown_s = list[float](), list[float]()
    known = [await _known(bank) for _ in range(-(-pairs // TRIES_EACH))]
    for number in range(pairs):
        if number % PAIRS_PER_ADDRESS == 0:
            await bank.call_from(unused_address())
        email = known[number // TRIES_EACH]
        both = [(email, known_s), (f"x{number}-{email}", unknown_s)]
        random.shuffle(both)
        for address, into in both:
            await bank.call("POST", FORGOTS.path, body={"email": address})
            await _timed(bank, AFTER_FORGOTS, NO_SESSION, into)
            await asyncio.sleep(PAUSE_S)
    return known_s, unknown_s


async def _known(bank: BankClient) -> str:
    return (await bank.login_identity(await bank.customer(0))).email


async def _body(bank: BankClient, timed: Timed, email: str) -> dict[str, Any]:
    """Return the body of a call for an address. For a reset, request one first."""
    if timed is LOGINS:
        return {"email": email, "password": WRONG}
    if timed is FORGOTS:
        return {"email": email}
    begun = await bank.call("POST", FORGOTS.path, body={"email": email})
    return {"sessionId": begun.body["sessionId"], "otp": "wrong", "newPassword": WRONG}


async def _timed(bank: BankClient, timed: Timed, body: dict[str, Any], into: list[float]) -> None:
    begun = time.perf_counter()
    answer = await bank.call("POST", timed.path, body=body)
    into.append(time.perf_counter() - begun)
    if (answer.status, answer.reason) != timed.expected:
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
