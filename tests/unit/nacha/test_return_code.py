"""Return reason codes: those with which a receiving bank or the operator returns an entry."""

import pytest

from services.nacha import return_code


@pytest.mark.parametrize("code", ["R01", "R03", "R10", "R17", "R23", "R47", "R50", "R53", "R85"])
def test_a_code_of_a_return_is_valid(code: str) -> None:
    assert return_code.is_valid(code)


DISHONOURED_OR_CONTESTED = ["R61", "R69", "R70", "R71", "R77"]
UNASSIGNED = ["R00", "R48", "R49", "R54", "R60", "R78", "R79", "R86", "R99"]
MALFORMED = ["", "R3", "r03", "R003", "C01", "R0\u0663", "R03\n", "R03 "]


@pytest.mark.parametrize("code", [*DISHONOURED_OR_CONTESTED, *UNASSIGNED, *MALFORMED])
def test_no_other_text_is_the_code_of_a_return(code: str) -> None:
    """Banks exchange R61 to R77 about a return; these codes are not return codes themselves."""
    assert not return_code.is_valid(code)
