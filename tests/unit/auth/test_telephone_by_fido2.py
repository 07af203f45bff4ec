"""Another implementation of WebAuthn accepts what the sandbox's telephone signs.

Auth verifies with the package `webauthn`. The telephone's code was written for it, so both could
misread the standard in the same way. Yubico's `fido2` was written apart from both.
"""

from collections.abc import Mapping
from typing import Any

import pytest
from fido2.server import Fido2Server
from fido2.webauthn import (
    AttestedCredentialData,
    AuthenticatorData,
    PublicKeyCredentialRpEntity,
    PublicKeyCredentialUserEntity,
    UserVerificationRequirement,
)

from sandbox.phone import Algorithm, Assertion, Flags, Registration, SoftwareKey, encoded

DOMAIN, ORIGIN = "app.bp.example", "https://app.bp.example"
SERVER = Fido2Server(PublicKeyCredentialRpEntity(id=DOMAIN, name="BP"))
REQUIRED = UserVerificationRequirement.REQUIRED
USER = PublicKeyCredentialUserEntity(id=b"customer", name="ana")
CHALLENGE = bytes(range(32))


def registered(answer: Registration) -> AuthenticatorData:
    """Return what fido2 reads from an answer to the challenge; it raises ValueError otherwise."""
    _, state = SERVER.register_begin(USER, user_verification=REQUIRED, challenge=CHALLENGE)
    response = {
        "clientDataJSON": answer.client_data_json,
        "attestationObject": answer.attestation_object,
    }
    return SERVER.register_complete(state, _credential(answer.credential_id, response))


def accepts(known: AttestedCredentialData, answer: Assertion) -> bool:
    """Return True when fido2 accepts a signature; it raises ValueError otherwise."""
    _, state = SERVER.authenticate_begin([known], REQUIRED, CHALLENGE)
    response = {
        "clientDataJSON": answer.client_data_json,
        "authenticatorData": answer.authenticator_data,
        "signature": answer.signature,
    }
    answered = _credential(answer.credential_id, response)
    return SERVER.authenticate_complete(state, [known], answered) == known


def _credential(credential_id: str, response: Mapping[str, str]) -> Mapping[str, Any]:
    return {
        "id": credential_id,
        "rawId": credential_id,
        "type": "public-key",
        "response": response,
    }


@pytest.mark.parametrize("algorithm", list(Algorithm))
def test_fido2_accepts_the_key_and_its_signature(algorithm: Algorithm) -> None:
    """It also reads the same key id and the growing counter."""
    key = SoftwareKey(DOMAIN, ORIGIN, algorithm)
    known = registered(key.register(encoded(CHALLENGE))).credential_data
    assert known is not None
    assert known.credential_id == key.credential_id
    assert accepts(known, key.sign(encoded(CHALLENGE)))
    assert key.sign_count == 1


def test_fido2_refuses_what_the_bank_refuses() -> None:
    """Another origin, another challenge, and a telephone that did not recognise its owner."""
    key = SoftwareKey(DOMAIN, ORIGIN)
    known = registered(key.register(encoded(CHALLENGE))).credential_data
    assert known is not None
    with pytest.raises(ValueError, match="challenge"):
        accepts(known, key.sign(encoded(bytes(32))))
    with pytest.raises(ValueError, match="user verified"):
        accepts(known, key.sign(encoded(CHALLENGE), Flags.USER_PRESENT))
    key.origin = "https://bp.example.evil.test"
    with pytest.raises(ValueError, match="origin"):
        accepts(known, key.sign(encoded(CHALLENGE)))
