"""The time of an answer does not say whether an e-mail address has an account."""

import pytest

from lab.fuzz.enumeration import TIMED, Timed, measure, share_of_slower, tells
from tests.rigs.running_bank import Bank

pytestmark = pytest.mark.judged_with_its_module

PAIRS = 20
"""About the smallest number that reliably shows a bank that skips a hash.
`make fuzz` sends 200 of each call."""


@pytest.mark.parametrize("timed", TIMED, ids=lambda timed: timed.name)
async def test_a_call_takes_as_long_for_an_unknown_address(bank: Bank, timed: Timed) -> None:
    """A wrong password, a request for a reset, and a wrong code of a reset."""
    known_s, unknown_s = await measure(bank, PAIRS, timed)
    assert not tells(known_s, unknown_s), share_of_slower(known_s, unknown_s)
