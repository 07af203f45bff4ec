"""The time of an answer does not say whether an e-mail address has an account."""

import pytest

from lab.fuzz.enumeration import measure, share_of_slower, tells
from tests.rigs.running_bank import Bank

pytestmark = pytest.mark.judged_with_its_module

PAIRS = 20
"""About the smallest number that reliably shows a bank that skips a hash.
`make fuzz` sends 200."""


async def test_a_wrong_password_takes_as_long_for_an_unknown_address(bank: Bank) -> None:
    known_s, unknown_s = await measure(bank, PAIRS)
    assert not tells(known_s, unknown_s), share_of_slower(known_s, unknown_s)
