"""A customer's telephone: the app's side of a login, without any network.

It keeps what the app stores: the device token, the session's tokens, and a device key that signs
after FaceID or TouchID recognised the customer. Other code sends the requests.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from enum import IntEnum, IntFlag

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from webauthn.helpers import encode_cbor

CREDENTIAL_ID_BYTES = 32
AAGUID = bytes(16)
"""No model: the bank asks for no attestation."""

_RSA_BITS = 2048


class Algorithm(IntEnum):
    """COSE numbers of signature algorithms (RFC 9053, RFC 8812)."""

    ES256 = -7
    EDDSA = -8
    RS256 = -257


class Flags(IntFlag):
    """Flags of WebAuthn's authenticator data (section 6.1)."""

    USER_PRESENT = 0x01
    USER_VERIFIED = 0x04
    BACKUP_ELIGIBLE = 0x08
    BACKED_UP = 0x10
    KEY_INCLUDED = 0x40


RECOGNISED = Flags.USER_PRESENT | Flags.USER_VERIFIED
"""The telephone recognised its owner."""


@dataclass(frozen=True)
class Registration:
    """The fields of bp.auth.v1.RegisterDeviceKeyRequest, in base64url without padding."""

    credential_id: str
    client_data_json: str
    attestation_object: str


@dataclass(frozen=True)
class Assertion:
    """The fields of bp.auth.v1.DeviceKeyAssertion, in base64url without padding."""

    credential_id: str
    client_data_json: str
    authenticator_data: str
    signature: str


class _EllipticKey:
    """ES256: ECDSA on P-256."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())

    def public(self) -> dict[int, object]:
        point = self._key.public_key().public_numbers()
        x, y = point.x.to_bytes(32, "big"), point.y.to_bytes(32, "big")
        return {1: 2, 3: int(Algorithm.ES256), -1: 1, -2: x, -3: y}

    def sign(self, data: bytes) -> bytes:
        return self._key.sign(data, ec.ECDSA(hashes.SHA256()))


class _EdwardsKey:
    """EdDSA: Ed25519."""

    def __init__(self) -> None:
        self._key = ed25519.Ed25519PrivateKey.generate()

    def public(self) -> dict[int, object]:
        return {1: 1, 3: int(Algorithm.EDDSA), -1: 6, -2: self._key.public_key().public_bytes_raw()}

    def sign(self, data: bytes) -> bytes:
        return self._key.sign(data)


class _RsaKey:
    """RS256: RSASSA-PKCS1-v1_5 with SHA-256."""

    def __init__(self) -> None:
        self._key = rsa.generate_private_key(65537, _RSA_BITS)

    def public(self) -> dict[int, object]:
        numbers = self._key.public_key().public_numbers()
        n, e = numbers.n.to_bytes(_RSA_BITS // 8, "big"), numbers.e.to_bytes(3, "big")
        return {1: 3, 3: int(Algorithm.RS256), -1: n, -2: e}

    def sign(self, data: bytes) -> bytes:
        return self._key.sign(data, padding.PKCS1v15(), hashes.SHA256())


_KEYS = {
    Algorithm.ES256: _EllipticKey,
    Algorithm.EDDSA: _EdwardsKey,
    Algorithm.RS256: _RsaKey,
}


class SoftwareKey:
    """A WebAuthn key in memory. Real ones never leave the telephone's secure element."""

    def __init__(
        self,
        rp_id: str,
        origin: str,
        algorithm: Algorithm = Algorithm.ES256,
        *,
        counts: bool = True,
    ) -> None:
        """`rp_id` is the bank's domain, `origin` the app's, such as https://app.bp.example.

        Apple's keys do not count their signatures (`counts=False`).
        """
        self.rp_id, self.origin, self.counts = rp_id, origin, counts
        self.sign_count = 0
        self.credential_id = secrets.token_bytes(CREDENTIAL_ID_BYTES)
        self._key = _KEYS[algorithm]()

    def register(self, challenge: str, flags: Flags = RECOGNISED) -> Registration:
        """Answer a challenge, in base64url without padding, with the new public key."""
        key = encode_cbor(self._key.public())
        length = len(self.credential_id).to_bytes(2, "big")
        included = AAGUID + length + self.credential_id + key
        data = self._authenticator_data(flags | Flags.KEY_INCLUDED) + included
        attestation = {"fmt": "none", "attStmt": {}, "authData": data}
        return Registration(
            credential_id=encoded(self.credential_id),
            client_data_json=encoded(self._client_data("webauthn.create", challenge)),
            attestation_object=encoded(encode_cbor(attestation)),
        )

    def sign(self, challenge: str, flags: Flags = RECOGNISED) -> Assertion:
        """Sign a challenge, in base64url without padding."""
        self.sign_count += self.counts
        client_data = self._client_data("webauthn.get", challenge)
        data = self._authenticator_data(flags)
        return Assertion(
            credential_id=encoded(self.credential_id),
            client_data_json=encoded(client_data),
            authenticator_data=encoded(data),
            signature=encoded(self._key.sign(data + hashlib.sha256(client_data).digest())),
        )

    def _client_data(self, kind: str, challenge: str) -> bytes:
        document = {
            "type": kind,
            "challenge": challenge,
            "origin": self.origin,
            "crossOrigin": False,
        }
        return json.dumps(document, separators=(",", ":")).encode()

    def _authenticator_data(self, flags: Flags) -> bytes:
        count = self.sign_count.to_bytes(4, "big")
        return hashlib.sha256(self.rp_id.encode()).digest() + bytes([flags]) + count


@dataclass
class Phone:
    """What the app of one telephone stores between its calls."""

    device_name: str = "Phone"
    device_token: str = field(default="", repr=False)
    """Empty until the first login completes."""
    access_token: str = field(default="", repr=False)
    refresh_token: str = field(default="", repr=False)
    key: SoftwareKey | None = None
    """None until the customer registers FaceID or TouchID."""

    def keep(self, access_token: str, refresh_token: str = "", device_token: str = "") -> None:
        """Store new tokens. An empty refresh or device token means that the old one stays valid."""
        self.access_token = access_token
        self.refresh_token = refresh_token or self.refresh_token
        self.device_token = device_token or self.device_token

    def new_key(self, rp_id: str, origin: str, challenge: str) -> Registration:
        """Make a device key in place of an earlier one, and answer the bank's challenge."""
        self.key = SoftwareKey(rp_id, origin)
        return self.key.register(challenge)

    def recognise(self, challenge: str) -> Assertion:
        """Sign the bank's challenge, as after FaceID or TouchID; ValueError without a key."""
        if self.key is None:
            raise ValueError("The telephone has no device key. Register one first.")
        return self.key.sign(challenge)

    def log_out(self) -> None:
        """Forget the session's tokens; the device stays known to the bank."""
        self.access_token = self.refresh_token = ""


def encoded(data: bytes) -> str:
    """Return bytes in base64url without padding, as WebAuthn's JSON has them."""
    return urlsafe_b64encode(data).rstrip(b"=").decode()
