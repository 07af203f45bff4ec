"""Does the time of an answer say whether an e-mail address has an account?

An attacker sends a wrong password for a known and for an unknown address at the same moment, so
that both meet the same load, and ranks the times (Mann and Whitney). The share is 0.5 when the
times do not differ, and 1.0 when each answer for a known address takes longer.
"""

import asyncio
import random
import time
from collections.abc import Sequence

from lab.fuzz.addresses import unused_address
from sandbox.client import BankClient

SHARES_OF_CHANCE = 5.0
"""Standard deviations of the share that chance may cause: it goes beyond once in a million runs."""

TRIES_EACH = 4
"""Wrong passwords for one account; after the fifth, auth checks no password for a while."""
PAIRS_PER_ADDRESS = 40
"""Auth refuses the tries of an address after a hundred wrong ones."""
WRONG = "no customer has this password"


async def measure(bank: BankClient, pairs: int) -> tuple[list[float], list[float]]:
    """Send wrong passwords for known and unknown addresses; return the seconds of each kind."""
    known_s, unknown_s = list[float](), list[float]()
    known = [await _known(bank) for _ in range(-(-pairs // TRIES_EACH))]
    for number in range(pairs):
        if number % PAIRS_PER_ADDRESS == 0:
            await bank.call_from(unused_address())
        email = known[number // TRIES_EACH]
        both = [(email, known_s), (f"{number}-{email}", unknown_s)]
        # Of two parallel requests, the bank may check the first one sooner.
        random.shuffle(both)
        await asyncio.gather(*(_timed(bank, address, into) for address, into in both))
    return known_s, unknown_s


async def _known(bank: BankClient) -> str:
    return (await bank.login_identity(await bank.customer(0))).email


async def _timed(bank: BankClient, email: str, into: list[float]) -> None:
    begun = time.perf_counter()
    body = {"email": email, "password": WRONG}
    answer = await bank.call("POST", "/v1/auth/login", body=body)
    into.append(time.perf_counter() - begun)
    if answer.reason != "CREDENTIALS_INVALID":
        raise RuntimeError(f"the bank did not check the password: {answer.text}")


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
