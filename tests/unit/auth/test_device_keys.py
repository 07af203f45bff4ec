"""Registrations and assertions of device keys, right and forged."""

import json
import uuid
from base64 import urlsafe_b64decode
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from webauthn.helpers import encode_cbor, parse_cbor

from sandbox.phone import RECOGNISED, Algorithm, Flags, SoftwareKey, encoded
from services.auth.device_keys import (
    Assertion,
    Registration,
    new_challenge,
    registration_options,
    verify_assertion,
    verify_registration,
)
from services.auth.errors import AssertionInvalid
from services.auth.settings import AuthSettings
from services.auth.state import Device

SETTINGS = AuthSettings(
    home=Path("unused"),
    socket_in=Path("unused"),
    openbao_addr="unused",
    service_account_token_file=Path("unused"),
)
DOMAIN, ORIGIN = "app.bp.example", "https://app.bp.example"
CHALLENGE = bytes(range(32))
NOON = datetime(2026, 7, 1, 12, 0, tzinfo=UTC)
RSA_KEY = SoftwareKey(DOMAIN, ORIGIN, Algorithm.RS256)
"""Made once, because it takes long."""


def soft_key(algorithm: Algorithm = Algorithm.ES256, *, counts: bool = True) -> SoftwareKey:
    """Return a new key of the bank's app."""
    if algorithm is Algorithm.RS256:
        return RSA_KEY
    return SoftwareKey(DOMAIN, ORIGIN, algorithm, counts=counts)


def register(key: SoftwareKey, challenge: bytes = CHALLENGE, **options: Flags) -> Registration:
    """Return the app's request for a key."""
    return Registration(**asdict(key.register(encoded(challenge), **options)))


def sign(key: SoftwareKey, challenge: bytes = CHALLENGE, **options: Flags) -> Assertion:
    """Return the app's assertion."""
    return Assertion(**asdict(key.sign(encoded(challenge), **options)))


def device_of(key: SoftwareKey) -> Device:
    """Return the device with which a key was registered."""
    made = verify_registration(register(key), CHALLENGE, SETTINGS)
    return Device(
        device_id=uuid.UUID(int=1),
        customer_id=uuid.UUID(int=2),
        device_name="Phone",
        token_hash=bytes(32),
        credential_id=made.credential_id,
        public_key=made.public_key,
        sign_count=made.sign_count,
        create_time=NOON,
        last_login_time=NOON,
    )


def decoded(text: str) -> bytes:
    """Return the bytes of base64url without padding."""
    return urlsafe_b64decode(text + "==")


def test_options_name_the_bank_and_the_algorithms() -> None:
    """The app passes them to the telephone."""
    options = registration_options(uuid.UUID(int=5), CHALLENGE, SETTINGS)
    assert decoded(options.challenge) == CHALLENGE
    assert (options.rp_id, options.algorithms) == (DOMAIN, (-7, -8, -257))
    assert decoded(options.user_handle) == uuid.UUID(int=5).bytes
    assert options.challenge not in repr(options)


def test_challenges_are_32_bytes_and_never_the_same() -> None:
    """A challenge is random."""
    made = {new_challenge() for _ in range(100)}
    assert len(made) == 100
    assert {len(challenge) for challenge in made} == {32}


@pytest.mark.parametrize("algorithm", Algorithm)
def test_a_registered_key_signs_in(algorithm: Algorithm) -> None:
    """Each accepted algorithm, twice: the counter grows."""
    key = soft_key(algorithm)
    device = device_of(key)
    first = verify_assertion(device, sign(key), CHALLENGE, SETTINGS).count
    assert first > device.sign_count
    device = replace(device, sign_count=first)
    assert verify_assertion(device, sign(key), CHALLENGE, SETTINGS).count == first + 1


def test_a_key_without_a_counter_signs_in_again_and_again() -> None:
    """Apple's keys always report zero."""
    key = soft_key(counts=False)
    device = device_of(key)
    uses = [verify_assertion(device, sign(key), CHALLENGE, SETTINGS) for _ in "ab"]
    assert [use.count for use in uses] == [0, 0]


@pytest.mark.parametrize("backup", [Flags(0), Flags.BACKUP_ELIGIBLE, Flags(0x18)])
def test_a_signature_says_whether_its_key_may_be_on_several_devices(backup: Flags) -> None:
    """The flag is part of what the device signs."""
    key, flags = soft_key(), RECOGNISED | backup
    device = device_of(key)
    use = verify_assertion(device, sign(key, flags=flags), CHALLENGE, SETTINGS)
    assert (use.device_id, use.is_synced) == (device.device_id, bool(backup))


def test_a_key_that_is_copied_although_it_cannot_be_is_refused() -> None:
    """WebAuthn does not allow this pair of flags."""
    key = soft_key()
    device, flags = device_of(key), RECOGNISED | Flags.BACKED_UP
    with pytest.raises(AssertionInvalid):
        verify_assertion(device, sign(key, flags=flags), CHALLENGE, SETTINGS)
    with pytest.raises(AssertionInvalid):
        verify_registration(register(key, flags=flags), CHALLENGE, SETTINGS)


def test_a_copied_key_is_refused() -> None:
    """The counter of the copy stays behind the counter of the real key."""
    key = soft_key()
    device = device_of(key)
    copied = sign(key)
    seen = verify_assertion(device, sign(key), CHALLENGE, SETTINGS).count
    device = replace(device, sign_count=seen)
    for assertion in (copied, sign(soft_key(counts=False))):
        with pytest.raises(AssertionInvalid):
            verify_assertion(device, assertion, CHALLENGE, SETTINGS)


WRONG_PLACES = [
    {"rp_id": "evil.example"},
    {"origin": "https://evil.example"},
    {"origin": "http://app.bp.example"},
    {"origin": "https://app.bp.example.evil.example"},
]


@pytest.mark.parametrize("place", WRONG_PLACES)
def test_a_key_of_another_place_cannot_be_registered_or_used(place: dict[str, str]) -> None:
    """A copied page of the bank gets a signature for its own origin, which is worthless."""
    key = soft_key()
    device = device_of(key)
    key.rp_id, key.origin = place.get("rp_id", DOMAIN), place.get("origin", ORIGIN)
    with pytest.raises(AssertionInvalid):
        verify_assertion(device, sign(key), CHALLENGE, SETTINGS)
    with pytest.raises(AssertionInvalid):
        verify_registration(register(key), CHALLENGE, SETTINGS)


@pytest.mark.parametrize("flags", [Flags(0), Flags.USER_PRESENT, Flags.USER_VERIFIED])
def test_a_telephone_that_did_not_recognise_its_user_is_refused(flags: Flags) -> None:
    """Presence and verification are both needed."""
    key = soft_key()
    device = device_of(key)
    with pytest.raises(AssertionInvalid):
        verify_assertion(device, sign(key, flags=flags), CHALLENGE, SETTINGS)
    with pytest.raises(AssertionInvalid):
        verify_registration(register(key, flags=flags), CHALLENGE, SETTINGS)


def test_an_answer_to_another_challenge_is_refused() -> None:
    """A recorded signature is worthless later."""
    key = soft_key()
    device = device_of(key)
    with pytest.raises(AssertionInvalid):
        verify_assertion(device, sign(key, bytes(32)), CHALLENGE, SETTINGS)
    with pytest.raises(AssertionInvalid):
        verify_registration(register(key, bytes(32)), CHALLENGE, SETTINGS)


def test_a_session_without_a_challenge_accepts_no_signature() -> None:
    """An empty challenge, as a session with a face has it, is never signed."""
    key = soft_key()
    device = device_of(key)
    with pytest.raises(AssertionInvalid):
        verify_assertion(device, sign(key, b""), b"", SETTINGS)
    with pytest.raises(AssertionInvalid):
        verify_registration(register(key, b""), b"", SETTINGS)


def test_a_key_of_another_device_is_refused() -> None:
    """The credential id must be the device's, and so must the signature."""
    key, other = soft_key(), soft_key()
    device = device_of(key)
    with pytest.raises(AssertionInvalid):
        verify_assertion(device, sign(other), CHALLENGE, SETTINGS)
    other.credential_id = key.credential_id
    with pytest.raises(AssertionInvalid):
        verify_assertion(device, sign(other), CHALLENGE, SETTINGS)


def test_a_device_without_a_key_is_refused() -> None:
    """Its empty credential id matches nothing."""
    key = soft_key()
    device = replace(device_of(key), credential_id=b"", public_key=b"")
    for credential_id in (b"", key.credential_id):
        key.credential_id = credential_id
        with pytest.raises(AssertionInvalid):
            verify_assertion(device, sign(key), CHALLENGE, SETTINGS)


def test_a_registration_is_no_assertion() -> None:
    """The kind is in what the device signed."""
    key = soft_key()
    device = device_of(key)
    registration, assertion = register(key), sign(key)
    with pytest.raises(AssertionInvalid):
        verify_assertion(
            device,
            replace(assertion, client_data_json=registration.client_data_json),
            CHALLENGE,
            SETTINGS,
        )


def with_attestation(registration: Registration, **changes: object) -> Registration:
    """Return a registration with other members in its attestation object."""
    attestation = parse_cbor(decoded(registration.attestation_object))
    changed = encode_cbor({**attestation, **changes})
    return replace(registration, attestation_object=encoded(changed))


def with_public_key(key: SoftwareKey, public: dict[int, object]) -> Registration:
    """Return a registration of a hand-made public key."""
    registration = register(key)
    data = parse_cbor(decoded(registration.attestation_object))["authData"]
    begin = data.index(key.credential_id) + len(key.credential_id)
    return with_attestation(registration, authData=data[:begin] + encode_cbor(public))


PUBLIC_KEYS = {
    "an algorithm that the bank does not accept": {1: 2, 3: -35, -1: 2, -2: bytes(48), -3: b"1"},
    "a point that is not on the curve": {1: 2, 3: -7, -1: 1, -2: bytes(32), -3: bytes(32)},
    "a coordinate of a wrong type": {1: 2, 3: -7, -1: 1, -2: "text", -3: bytes(32)},
    "no coordinates": {1: 2, 3: -7},
    "a short key": {1: 3, 3: -257, -1: b"\xff" * 128, -2: b"\x01\x00\x01"},
    "an unknown kind": {1: 99, 3: -7},
    "no kind": {3: -7},
    "an Edwards key of three bytes": {1: 1, 3: -8, -1: 6, -2: b"abc"},
}


@pytest.mark.parametrize("public", PUBLIC_KEYS.values(), ids=PUBLIC_KEYS)
def test_a_public_key_that_cannot_be_used_is_not_registered(public: dict[int, object]) -> None:
    """It would lock its owner out at the next login, or is too weak."""
    with pytest.raises(AssertionInvalid):
        verify_registration(with_public_key(soft_key(), public), CHALLENGE, SETTINGS)


@pytest.mark.parametrize("fmt", ["packed", "fido-u2f", "tpm", "apple", "unheard-of", 7])
def test_an_attestation_is_refused(fmt: object) -> None:
    """The bank asked for none, so its code need not trust certificates from the caller."""
    changed = with_attestation(register(soft_key()), fmt=fmt)
    with pytest.raises(AssertionInvalid):
        verify_registration(changed, CHALLENGE, SETTINGS)


def test_a_registration_under_the_id_of_another_key_is_refused() -> None:
    """Else a caller could occupy the id of someone else's key."""
    changed = replace(register(soft_key()), credential_id=encoded(bytes(32)))
    with pytest.raises(AssertionInvalid):
        verify_registration(changed, CHALLENGE, SETTINGS)


FIELDS = st.one_of(
    st.text(max_size=40),
    st.binary(max_size=80).map(encoded),
    st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists).map(
        lambda value: encoded(json.dumps(value).encode())
    ),
    st.recursive(
        st.none() | st.integers(-(2**70), 2**70) | st.binary(max_size=8) | st.text(max_size=8),
        lambda inner: st.dictionaries(st.sampled_from(["fmt", "authData", "attStmt"]), inner),
    ).map(lambda value: encoded(encode_cbor(value))),
)


@given(st.data())
def test_malformed_fields_are_refused_and_never_a_crash(data: st.DataObject) -> None:
    """Any field may be anything, alone or with the others."""
    key = soft_key()
    device = device_of(key)
    right: list[tuple[Registration | Assertion, Callable[..., object], tuple]] = [
        (register(key), verify_registration, ()),
        (sign(key), verify_assertion, (device,)),
    ]
    value, verify, first = data.draw(st.sampled_from(right))
    name = data.draw(st.sampled_from(list(asdict(value))))
    changed = replace(value, **{name: data.draw(FIELDS)})
    if changed != value:
        with pytest.raises(AssertionInvalid):
            verify(*first, changed, CHALLENGE, SETTINGS)


@given(st.integers(0, 10_000), st.integers(0, 7))
def test_no_changed_bit_of_an_assertion_passes(position: int, bit: int) -> None:
    """The signature covers the client data and the authenticator data."""
    key = soft_key()
    device = device_of(key)
    assertion = asdict(sign(key))
    names = ["client_data_json", "authenticator_data", "signature"]
    name = names[position % 3]
    raw = bytearray(decoded(assertion[name]))
    raw[position % len(raw)] ^= 1 << bit
    changed = Assertion(**{**assertion, name: encoded(bytes(raw))})
    with pytest.raises(AssertionInvalid):
        verify_assertion(device, changed, CHALLENGE, SETTINGS)
