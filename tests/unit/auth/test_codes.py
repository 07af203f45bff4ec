"""One-time codes: their form, and to what their MAC binds them."""

import re
from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from services.auth.codes import digest, new_code
from services.auth.login_sessions import session_digest
from services.auth.state import Purpose

KEY = bytes(range(32))
GOLDEN = "438d3dae4e12ee51539bc3feef46bcf3cf75ef38f5060feac7f513be856e175e"
INPUTS = st.tuples(
    st.binary(min_size=32, max_size=32),
    st.text().map(session_digest),
    st.sampled_from(Purpose),
    st.text(max_size=64),
)


def test_a_code_has_six_digits_with_leading_zeros() -> None:
    """Among 2,000 random codes some begin with a zero, and nearly all differ."""
    codes = [new_code() for _ in range(2_000)]
    assert all(re.fullmatch(r"[0-9]{6}", code) for code in codes)
    assert any(code.startswith("0") for code in codes)
    assert len(set(codes)) > 1_900


@given(INPUTS, INPUTS)
def test_equal_macs_have_equal_inputs(one: tuple, other: tuple) -> None:
    """No two different inputs run together to the same text."""
    assert (digest(*one) == digest(*other)) == (one == other)


def test_a_code_of_another_session_purpose_or_key_has_another_mac() -> None:
    """A code that was sent for a reset cannot log in, and the reverse."""
    macs = [
        digest(key, session, purpose, "123456")
        for key in (KEY, bytes(32))
        for session in (session_digest("a"), session_digest("b"))
        for purpose in Purpose
    ]
    assert all(one != other for one, other in combinations(macs, 2))


def test_a_mac_is_the_same_in_every_process() -> None:
    """A golden value: a change would make each code that is on its way wrong."""
    assert digest(KEY, session_digest("a"), Purpose.LOGIN, "123456").hex() == GOLDEN
