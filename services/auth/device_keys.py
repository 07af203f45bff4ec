"""Device keys: WebAuthn registrations and assertions, for FaceID and TouchID. Pure.

The package `webauthn` verifies them by these rules: the device recognised its user, the origin and
the domain are the bank's, and the counter grows. The bank accepts no attestation, because it
prefers no maker of telephones. Every fault is AssertionInvalid, so an attacker learns no more.
"""

import hmac
import secrets
import uuid
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

import webauthn
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from webauthn.helpers import (
    base64url_to_bytes,
    bytes_to_base64url,
    decode_credential_public_key,
    decoded_public_key_to_cryptography,
    parse_attestation_object,
)
from webauthn.helpers.cose import COSEAlgorithmIdentifier
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import AttestationFormat, CredentialDeviceType

from services.auth.errors import AssertionInvalid
from services.auth.state import Device, KeyUse

CHALLENGE_BYTES = 32

RELYING_PARTY_NAME = "BP"
"""The name that the telephone shows with the key."""

ALGORITHMS = (
    COSEAlgorithmIdentifier.ECDSA_SHA_256,
    COSEAlgorithmIdentifier.EDDSA,
    COSEAlgorithmIdentifier.RSASSA_PKCS1_v1_5_SHA_256,
)
"""The preferred algorithm first: -7, -8, -257."""

RSA_BITS_MIN = 2048

_MALFORMED = (
    WebAuthnException,
    UnsupportedAlgorithm,
    ArithmeticError,
    AttributeError,
    LookupError,
    TypeError,
    ValueError,
)
"""What the packages raise for base64, JSON, CBOR or keys that are not as they must be."""


class RelyingParty(Protocol):
    """The site for which keys sign; the settings of the service have its values."""

    @property
    def web_domain(self) -> str:
        """The relying party's id."""
        ...

    @property
    def web_origins(self) -> tuple[str, ...]:
        """The origins that keys may sign for."""
        ...


@dataclass(frozen=True, slots=True)
class RegistrationOptions:
    """The fields of bp.auth.v1.CreateDeviceKeyChallengeResponse."""

    challenge: str = field(repr=False)
    """In base64url without padding."""
    rp_id: str
    rp_name: str
    user_handle: str
    """In base64url without padding."""
    algorithms: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Registration:
    """An app's answer to the options; each field in base64url without padding."""

    credential_id: str
    client_data_json: str = field(repr=False)
    attestation_object: str


@dataclass(frozen=True, slots=True)
class Assertion:
    """A signature of a device key; each field in base64url without padding."""

    credential_id: str
    client_data_json: str = field(repr=False)
    authenticator_data: str
    signature: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class DeviceKey:
    """A registered key, as a device's row holds it."""

    credential_id: bytes
    public_key: bytes
    """In COSE form."""
    sign_count: int


def new_challenge() -> bytes:
    """Return 32 random bytes for a device to sign, once."""
    return secrets.token_bytes(CHALLENGE_BYTES)


def registration_options(
    customer_id: uuid.UUID, challenge: bytes, party: RelyingParty
) -> RegistrationOptions:
    """Return what an app needs to make a key. The user handle is the customer's id."""
    return RegistrationOptions(
        challenge=bytes_to_base64url(challenge),
        rp_id=party.web_domain,
        rp_name=RELYING_PARTY_NAME,
        user_handle=bytes_to_base64url(customer_id.bytes),
        algorithms=tuple(int(algorithm) for algorithm in ALGORITHMS),
    )


def verify_registration(
    registration: Registration, challenge: bytes, party: RelyingParty
) -> DeviceKey:
    """Return the key of a registration that answers this challenge, or raise AssertionInvalid."""
    with _malformed_is_invalid():
        attestation = base64url_to_bytes(registration.attestation_object)
        _require(bool(challenge))
        _require(parse_attestation_object(attestation).fmt == AttestationFormat.NONE)
        verified = webauthn.verify_registration_response(
            credential=_credential(
                registration.credential_id,
                clientDataJSON=registration.client_data_json,
                attestationObject=registration.attestation_object,
            ),
            expected_challenge=challenge,
            expected_rp_id=party.web_domain,
            expected_origin=list(party.web_origins),
            require_user_verification=True,
            supported_pub_key_algs=list(ALGORITHMS),
        )
        # The app states an id outside the attestation, too; only the one inside counts.
        _require(bytes_to_base64url(verified.credential_id) == registration.credential_id)
        _require_strong(verified.credential_public_key)
    return DeviceKey(verified.credential_id, verified.credential_public_key, verified.sign_count)


def verify_assertion(
    device: Device, assertion: Assertion, challenge: bytes, party: RelyingParty
) -> KeyUse:
    """Return what the signature says about the key, or raise AssertionInvalid.

    A counter that did not grow shows a copied key, unless the key has no counter: then both are 0.
    The caller stores the counter only if it is still the device's, so one of two parallel
    assertions with the same counter is refused.
    """
    with _malformed_is_invalid():
        given = base64url_to_bytes(assertion.credential_id)
        _require(bool(challenge) and bool(device.credential_id))
        _require(hmac.compare_digest(given, device.credential_id))
        verified = webauthn.verify_authentication_response(
            credential=_credential(
                assertion.credential_id,
                clientDataJSON=assertion.client_data_json,
                authenticatorData=assertion.authenticator_data,
                signature=assertion.signature,
            ),
            expected_challenge=challenge,
            expected_rp_id=party.web_domain,
            expected_origin=list(party.web_origins),
            credential_public_key=device.public_key,
            credential_current_sign_count=device.sign_count,
            require_user_verification=True,
        )
    is_synced = verified.credential_device_type is CredentialDeviceType.MULTI_DEVICE
    return KeyUse(device.device_id, device.sign_count, verified.new_sign_count, is_synced)


@contextmanager
def _malformed_is_invalid() -> Generator[None]:
    try:
        yield
    except _MALFORMED as error:
        raise AssertionInvalid from error


def _require(is_right: bool) -> None:
    if not is_right:
        raise AssertionInvalid


def _require_strong(public_key: bytes) -> None:
    """Refuse a short RSA key, and a curve that does not belong to the algorithm."""
    key = decoded_public_key_to_cryptography(decode_credential_public_key(public_key))
    if isinstance(key, RSAPublicKey):
        _require(key.key_size >= RSA_BITS_MIN)
    if isinstance(key, EllipticCurvePublicKey):
        _require(isinstance(key.curve, SECP256R1))


def _credential(credential_id: str, **response: str) -> dict[str, object]:
    return {
        "id": credential_id,
        "rawId": credential_id,
        "type": "public-key",
        "response": response,
    }
