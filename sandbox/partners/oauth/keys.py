"""The provider's signing keys: ES256, kept in the state directory, rotated with overlap.

A new key is published at once and signs after its lead time, so that caches of the key set hold it
before its first token. A retired key stays published until its tokens have expired. Only published
keys sign, and the newest key is never retired, so there is always a key that signs.
"""

import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from joserfc.jwk import ECKey, KeySet

from sandbox.partners.jws import public_jwk, sign_es256

KEYS_MAX = 16


@dataclass(slots=True)
class SigningKey:
    """A key with the unix times of its use; `ends_at` is None until the key is retired."""

    kid: str
    key: ec.EllipticCurvePrivateKey
    signs_from: float
    ends_at: float | None = None
    verifier: ECKey = field(init=False, repr=False)
    """The public key, parsed once."""

    def __post_init__(self) -> None:
        """Derive the verifier."""
        self.verifier = ECKey.import_key(dict(public_jwk(self.key.public_key(), self.kid)))

    def is_published(self, now: float) -> bool:
        """Return whether tokens of the key are still valid."""
        return self.ends_at is None or self.ends_at > now

    def saved(self) -> dict[str, Any]:
        """Return the key as it is written to disk, private part included."""
        times = {"signs_from": self.signs_from, "ends_at": self.ends_at}
        return {"kid": self.kid, **times, "pem": _pem(self.key).decode()}

    def view(self) -> dict[str, Any]:
        """Return the key as the control API shows it."""
        return {"kid": self.kid, "signsFrom": self.signs_from, "endsAt": self.ends_at}


class KeyRing:
    """All keys of the provider, the oldest first."""

    def __init__(self, path: Path) -> None:
        """Read the keys; make the first key when there is none."""
        self._path = path
        self.keys: list[SigningKey] = _read(path)
        if not self.keys:
            self.rotate(lead_s=0, overlap_s=0)

    def published(self) -> dict[str, Any]:
        """Return the JSON Web Key Set: the public part of every key that has not ended."""
        now = time.time()
        keys = self._published(now)
        return {"keys": [public_jwk(key.key.public_key(), key.kid) for key in keys]}

    def verifiers(self) -> KeySet:
        """Return the keys that verify the provider's own tokens."""
        return KeySet([key.verifier for key in self._published(time.time())])

    def sign(self, claims: dict[str, Any]) -> str:
        """Return a compact JWS, signed by the newest published key whose lead time has passed."""
        key = self._signing(time.time())[-1]
        return sign_es256(key.key, key.kid, claims)

    def rotate(self, lead_s: float, overlap_s: float) -> SigningKey:
        """Add a key; retire the signing key `overlap_s` after the new one begins to sign.

        A key that has not begun to sign is replaced by the new one.
        """
        now = time.time()
        kept = self._signing(now)
        if kept:
            kept[-1].ends_at = now + lead_s + overlap_s
        new = SigningKey(uuid.uuid4().hex, ec.generate_private_key(ec.SECP256R1()), now + lead_s)
        self.keys = [*kept, new][-KEYS_MAX:]
        self._save()
        return new

    def revoke(self, kid: str) -> bool:
        """Unpublish a key, which invalidates its tokens. The newest remaining key is not retired.

        An earlier key that signs in its place stays published as long as the revoked one would
        have. The last published key cannot be revoked.
        """
        now = time.time()
        published = self._published(now)
        left = [key for key in published if key.kid != kid]
        revoked = [key for key in published if key.kid == kid]
        if not left or not revoked:
            return False
        left[0].signs_from = min(left[0].signs_from, now)
        left[-1].ends_at = None
        self.keys = left
        signing = self._signing(now)[-1]
        if signing.ends_at is not None:
            signing.ends_at = max(signing.ends_at, revoked[0].ends_at or 0.0)
        self._save()
        return True

    def _published(self, now: float) -> list[SigningKey]:
        return [key for key in self.keys if key.is_published(now)]

    def _signing(self, now: float) -> list[SigningKey]:
        """Return the published keys that have begun to sign; the last one signs now.

        If the clock was set back so far that no key has begun, the oldest key signs.
        """
        published = self._published(now)
        return [key for key in published if key.signs_from <= now] or published[:1]

    def _save(self) -> None:
        part = self._path.with_name(self._path.name + ".part")
        self._path.parent.mkdir(parents=True, exist_ok=True)
        part.touch(mode=0o600)
        part.write_bytes(orjson.dumps([key.saved() for key in self.keys]))
        part.replace(self._path)


def _read(path: Path) -> list[SigningKey]:
    if not path.exists():
        return []
    return [
        SigningKey(item["kid"], _key(item["pem"]), item["signs_from"], item["ends_at"])
        for item in orjson.loads(path.read_bytes())
    ]


def _key(pem: str) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(pem.encode(), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError("the key file holds a key that is not an EC key")
    return key


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
