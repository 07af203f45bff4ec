"""Encrypts customers' data with OpenBao's transit engine, and makes its blind indexes.

The key is not exportable; this service may encrypt and decrypt with it. A ciphertext belongs to one
customer and one field: with another customer or field it cannot be decrypted. A large value is
encrypted here with a random key of its own, which OpenBao encrypts, because OpenBao limits the
strings of a request. During an outage of OpenBao the calls raise an error of `UNREACHABLE`.
"""

import base64
import hashlib
import hmac
import itertools
import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import hvac.exceptions
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from services.chassis.vault import Vault

KEY = "customer-data"
"""Name of the transit key."""
VALUES_MAX = 100
"""Values in one request; OpenBao refuses a request with more than about 500 JSON strings."""
SMALL_BYTES_MAX = 32_768
"""A larger value gets a key of its own."""
_LARGE = "large:"
_NOBODY = uuid.UUID(int=0)
_PHONE_BYTES = 12
"""The length of a usual number in E.164."""
_NONCE_BYTES = 12


class Field(Enum):
    """What a ciphertext contains."""

    EMAIL = "email"
    PHONE = "phone"
    TOTP_SECRET = "totp-secret"  # noqa: S105
    FACE = "face"


class SealBroken(ValueError):
    """A ciphertext was changed, or belongs to another customer or field."""


@dataclass(frozen=True, slots=True)
class Plain:
    """A value to encrypt."""

    customer_id: uuid.UUID
    kind: Field
    value: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Sealed:
    """A value to decrypt."""

    customer_id: uuid.UUID
    kind: Field
    text: str


class Sealer:
    """The service's access to the key, and its keys of blind indexes."""

    def __init__(self, vault: Vault, keys: Mapping[str, str]) -> None:
        """`keys` has the fields of `service/auth` in OpenBao."""
        self._vault = vault
        self._index_key = bytes.fromhex(keys["blind_index_key"])
        self._of_nobody: str | None = None

    async def seal(self, customer_id: uuid.UUID, kind: Field, value: str | bytes) -> str:
        """Return the ciphertext of one value."""
        plain = value.encode() if isinstance(value, str) else value
        (sealed,) = await self.seal_all([Plain(customer_id, kind, plain)])
        return sealed

    async def unseal(self, customer_id: uuid.UUID, kind: Field, sealed: str) -> bytes:
        """Return one value. Raises SealBroken if it was not sealed for this customer and field."""
        (value,) = await self.unseal_all([Sealed(customer_id, kind, sealed)])
        return value

    async def unseal_nothing(self) -> None:
        """Do the work of `unseal` for a customer who does not exist."""
        if self._of_nobody is None:
            self._of_nobody = await self.seal(_NOBODY, Field.PHONE, bytes(_PHONE_BYTES))
        await self.unseal(_NOBODY, Field.PHONE, self._of_nobody)

    async def seal_all(self, values: Sequence[Plain]) -> list[str]:
        """Return the ciphertexts of values, in their order."""
        keys = {
            place: AESGCM.generate_key(256)
            for place, plain in enumerate(values)
            if len(plain.value) > SMALL_BYTES_MAX
        }
        items = [
            {
                "plaintext": _base64(keys.get(place, plain.value)),
                "associated_data": _base64(_context(plain)),
            }
            for place, plain in enumerate(values)
        ]
        sealed = await self._send("encrypt", items, "ciphertext")
        return [
            _sealed_large(keys[place], text, values[place]) if place in keys else text
            for place, text in enumerate(sealed)
        ]

    async def unseal_all(self, sealed: Sequence[Sealed]) -> list[bytes]:
        """Return values in the order of their ciphertexts. Raises SealBroken."""
        items = [
            {
                "ciphertext": _parts(one.text)[0],
                "associated_data": _base64(_context(one)),
            }
            for one in sealed
        ]
        found = await self._send("decrypt", items, "plaintext")
        return [
            _unsealed(one, base64.b64decode(text)) for one, text in zip(sealed, found, strict=True)
        ]

    def email_index(self, canonical: str) -> bytes:
        """Return the blind index of an e-mail address in its canonical form, 32 bytes."""
        return self._index(Field.EMAIL, canonical)

    def phone_index(self, phone: str) -> bytes:
        """Return the blind index of a telephone number in E.164, 32 bytes."""
        return self._index(Field.PHONE, phone)

    def _index(self, kind: Field, text: str) -> bytes:
        return hmac.digest(self._index_key, f"{kind.value}/{text}".encode(), hashlib.sha256)

    async def _send(self, action: str, items: list[dict[str, str]], wanted: str) -> list[str]:
        found: list[str] = []
        for batch in _batches(items):
            try:
                answer = await self._vault.write(f"transit/{action}/{KEY}", {"batch_input": batch})
            except hvac.exceptions.InvalidRequest as error:
                raise SealBroken(f"OpenBao refused to {action} a value") from error
            results: list[dict[str, Any]] = answer["data"]["batch_results"]
            found += [str(result[wanted]) for result in results]
        return found


def _batches(items: list[dict[str, str]]) -> Iterator[list[dict[str, str]]]:
    for start in itertools.count(0, VALUES_MAX):
        if not (batch := items[start : start + VALUES_MAX]):
            return
        yield batch


def _context(value: Plain | Sealed) -> bytes:
    return f"{value.kind.value}/{value.customer_id}".encode()


def _sealed_large(key: bytes, sealed_key: str, plain: Plain) -> str:
    nonce = os.urandom(_NONCE_BYTES)
    text = AESGCM(key).encrypt(nonce, plain.value, _context(plain))
    return f"{_LARGE}{sealed_key}:{_base64(nonce + text)}"


def _parts(text: str) -> tuple[str, str]:
    """Return the text that OpenBao decrypts, and the ciphertext of a large value or ""."""
    if not text.startswith(_LARGE):
        return text, ""
    sealed_key, _, body = text.removeprefix(_LARGE).rpartition(":")
    return sealed_key, body


def _unsealed(sealed: Sealed, opened: bytes) -> bytes:
    """Return the value, given what OpenBao decrypted: the value or its key."""
    if not sealed.text.startswith(_LARGE):
        return opened
    try:
        body = base64.b64decode(_parts(sealed.text)[1], validate=True)
        return AESGCM(opened).decrypt(body[:_NONCE_BYTES], body[_NONCE_BYTES:], _context(sealed))
    except (InvalidTag, ValueError) as error:
        raise SealBroken("a large value was changed or belongs elsewhere") from error


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()
