"""The time of an answer does not say whether an e-mail address has an account."""

import pytest

from lab.fuzz.enumeration import (
    AFTER_FORGOTS,
    FORGOTS,
    LOGINS,
    RESETS,
    Timed,
    measure,
    share_of_slower,
    tells,
)
from tests.rigs.running_bank import Bank

pytestmark = pytest.mark.judged_with_its_module

PAIRS = 20
"""About the smallest number that reliably shows a bank that skips a hash.
`make fuzz` sends 200 of each call."""
PAIRS_OF_LOGINS = 100
"""200 tries, which show a smaller difference than that of a hash."""
PAIRS_AFTER = 60
"""Enough to show work that begins with the answer to a request for a reset."""
CALLS = (
    (LOGINS, PAIRS_OF_LOGINS),
    (FORGOTS, PAIRS),
    (RESETS, PAIRS),
    (AFTER_FORGOTS, PAIRS_AFTER),
)


@pytest.mark.parametrize(("timed", "pairs"), CALLS, ids=[timed.name for timed, _ in CALLS])
async def test_a_call_takes_as_long_for_an_unknown_address(
    bank: Bank, timed: Timed, pairs: int
) -> None:
    """A wrong password, a request for a reset, a wrong code of a reset, and a call after a request
    for a reset."""
    known_s, unknown_s = await measure(bank, pairs, timed)
    assert not tells(known_s, unknown_s), share_of_slower(known_s, unknown_s)
