"""What follows from a presented refresh token, and how the new tokens are sealed."""

import uuid
from dataclasses import astuple
from itertools import product

import pytest
from cryptography.exceptions import InvalidTag
from hypothesis import given
from hypothesis import strategies as st

from services.auth.refresh import Decision, Facts, Family, Rotate, decide, seal, unseal
from services.auth.state import TokenPair

PAIR = TokenPair("access", "refresh-2", 600)
SESSION = uuid.UUID(int=7)

#   exists device ended current successor
ROWS = [
    ((False, True, False, True, True), Decision.INVALID, "the session ended or never existed"),
    ((True, False, False, True, False), Decision.INVALID, "a stolen token without its device"),
    ((True, False, False, False, False), Decision.INVALID, "an old stolen token ends nothing"),
    ((True, False, True, False, False), Decision.INVALID, "a thief learns of no reuse"),
    ((True, True, False, True, False), Decision.ROTATE, "the usual refresh"),
    ((True, True, False, False, True), Decision.REPLAY, "the phone lost the answer"),
    ((True, True, False, False, False), Decision.REUSED, "two parties have the tokens"),
    ((True, True, True, False, True), Decision.REUSED, "the family has ended, grace or not"),
    ((True, True, True, True, False), Decision.REUSED, "no token of an ended family is current"),
]


@pytest.mark.parametrize(("facts", "decision", "why"), ROWS, ids=[why for *_, why in ROWS])
def test_each_case_of_a_presented_token(facts: tuple, decision: Decision, why: str) -> None:
    """The rows are the cases that the threat model names."""
    assert why
    assert decide(Facts(*facts)) is decision


@pytest.mark.parametrize("flags", list(product((False, True), repeat=5)))
def test_only_the_right_device_gets_tokens_or_ends_a_family(flags: tuple) -> None:
    """Every combination of facts: without the device nothing but INVALID follows."""
    facts = Facts(*flags)
    decision = decide(facts)
    assert astuple(facts) == flags
    if decision is not Decision.INVALID:
        assert facts.exists
        assert facts.device_matches
    if decision in (Decision.ROTATE, Decision.REPLAY):
        assert not facts.is_ended
    if decision is Decision.ROTATE:
        assert facts.is_current


@given(st.text(min_size=1), st.text(), st.text(), st.integers(0, 10**6))
def test_the_replaced_token_opens_what_was_sealed(
    token: str, access: str, refresh: str, expires_in_s: int
) -> None:
    """The same pair comes back."""
    pair = TokenPair(access, refresh, expires_in_s)
    assert unseal(token, SESSION, seal(token, SESSION, pair)) == pair


def test_a_look_into_valkey_gives_no_token() -> None:
    """Neither the tokens nor the replaced token are in what is stored, and two seals differ."""
    one, other = seal("refresh-1", SESSION, PAIR), seal("refresh-1", SESSION, PAIR)
    for secret in (b"access", b"refresh-2", b"refresh-1"):
        assert secret not in one
    assert one != other


@pytest.mark.parametrize(
    ("token", "session"), [("refresh-2", SESSION), ("refresh-1", uuid.UUID(int=8))]
)
def test_another_token_or_session_cannot_open_it(token: str, session: uuid.UUID) -> None:
    """The seal is bound to both."""
    with pytest.raises(InvalidTag):
        unseal(token, session, seal("refresh-1", SESSION, PAIR))


def test_a_changed_byte_is_noticed() -> None:
    """AES-GCM authenticates every byte."""
    sealed = seal("refresh-1", SESSION, PAIR)
    for position in range(len(sealed)):
        changed = bytearray(sealed)
        changed[position] ^= 1
        with pytest.raises(InvalidTag):
            unseal("refresh-1", SESSION, bytes(changed))


def test_a_lease_in_a_log_shows_no_token() -> None:
    """The token is not in the text of the value."""
    family = Family(SESSION, uuid.UUID(int=1), uuid.UUID(int=2))
    assert "secret" not in repr(Rotate(family, "secret", "owner"))
