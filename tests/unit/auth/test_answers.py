"""The form of a kept answer, and which requests are the same."""

import uuid
from dataclasses import astuple, replace
from datetime import UTC, datetime, timedelta

import pytest
from asyncpg.pgproto.pgproto import UUID
from cryptography.exceptions import InvalidTag
from hypothesis import given
from hypothesis import strategies as st

from services.auth.answers import decode, encode, request_digest
from services.auth.app_sealing import seal, unseal
from services.auth.device_keys import Assertion
from services.auth.results import LoggedIn
from services.auth.state import ShownDevice, TokenPair

NOON = datetime(2026, 7, 1, 12, 0, 0, 123456, tzinfo=UTC)
DEVICE = ShownDevice(
    device_id=uuid.UUID(int=1),
    device_name="Ana's phone ñ",
    has_key=True,
    create_time=NOON,
    last_login_time=NOON + timedelta(days=1),
)
ANSWER = LoggedIn(TokenPair("access", "refresh", 600), DEVICE, "device token")
SIGNED = Assertion("id", "client", "authenticator", "signature")


@pytest.mark.parametrize(
    "answer",
    [
        ANSWER,
        replace(ANSWER, device_token=""),
        replace(ANSWER, device=replace(DEVICE, device_id=UUID(str(DEVICE.device_id)))),
    ],
    ids=["new device", "known device", "ids of a row"],
)
def test_an_answer_is_read_as_it_was_written(answer: LoggedIn) -> None:
    read = decode(encode(answer))
    assert read == answer
    assert astuple(read.pair) == astuple(answer.pair)


def test_only_the_same_request_has_the_same_digest() -> None:
    digests = {
        request_digest(b"picture", ""),
        request_digest(b"picture", "Phone"),
        request_digest(b"another picture", ""),
        request_digest(b"", "picture"),
        request_digest(SIGNED, ""),
        *(request_digest(replace(SIGNED, **{name: "x"}), "") for name in Assertion.__slots__),
        request_digest(Assertion("idclient", "", "authenticator", "signature"), ""),
    }
    assert len(digests) == 10
    assert request_digest(b"picture", "Phone") == request_digest(b"picture", "Phone")


@given(
    st.binary(max_size=300), st.binary(min_size=1), st.binary(max_size=40), st.binary(max_size=40)
)
def test_a_sealed_value_needs_its_secret_purpose_and_owner(
    value: bytes, secret: bytes, purpose: bytes, owner: bytes
) -> None:
    sealed = seal(secret, purpose, value, owner)
    assert unseal(secret, purpose, sealed, owner) == value
    assert seal(secret, purpose, value, owner) != sealed
    others = [(secret + b"x", purpose, owner), (secret, purpose + b"x", owner)]
    for other, another, foreign in (*others, (secret, purpose, owner + b"x")):
        with pytest.raises(InvalidTag):
            unseal(other, another, sealed, foreign)
