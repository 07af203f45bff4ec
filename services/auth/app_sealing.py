"""Encrypts what Valkey keeps for an app, with a key derived from a secret of the app or of auth.

Valkey holds no such secret, at most its digest, so a reader of Valkey cannot decrypt the values.
"""

import secrets

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_NONCE_BYTES = 12
_KEY_BYTES = 32


def seal(secret: bytes, purpose: bytes, value: bytes, belongs_to: bytes) -> bytes:
    """Encrypt a value (AES-256-GCM under HKDF-SHA256 of the secret).

    `secret` is a random one of at least 128 bits. Only the same secret, purpose and `belongs_to`
    decrypt the value.
    """
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce + _cipher(secret, purpose).encrypt(nonce, value, belongs_to)


def unseal(secret: bytes, purpose: bytes, sealed: bytes, belongs_to: bytes) -> bytes:
    """Return what `seal` encrypted; InvalidTag for another secret, purpose or `belongs_to`."""
    nonce, ciphertext = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
    return _cipher(secret, purpose).decrypt(nonce, ciphertext, belongs_to)


def _cipher(secret: bytes, purpose: bytes) -> AESGCM:
    derived = HKDF(SHA256(), _KEY_BYTES, salt=None, info=purpose).derive(secret)
    return AESGCM(derived)
