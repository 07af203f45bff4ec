"""Refresh tokens: 128 random bits that name the grant, then 256 random bits that are the secret.

The provider keeps only SHA-256 of both. A token with a known name and a wrong secret is an
earlier token of the grant, so the provider detects its reuse without a list of all earlier ones.
"""

import hashlib
import os
from dataclasses import dataclass

from sandbox.partners.jws import b64url

NAME_BYTES, SECRET_BYTES = 16, 32
NAME_CHARACTERS, TOKEN_CHARACTERS = 22, 22 + 43


@dataclass(frozen=True, slots=True)
class Digests:
    """SHA-256, in hexadecimal digits, of a token's name and of the whole token."""

    name: str
    token: str


def new_name() -> str:
    """Return a random name of a grant."""
    return b64url(os.urandom(NAME_BYTES))


def next_token(name: str) -> str:
    """Return a new token of the grant with this name."""
    return name + b64url(os.urandom(SECRET_BYTES))


def name_in(token: str) -> str:
    """Return the name that a token begins with."""
    return token[:NAME_CHARACTERS]


def digests(token: str) -> Digests | None:
    """Return the digests of a token; None when it does not have the form of one."""
    if len(token) != TOKEN_CHARACTERS or not token.isascii():
        return None
    return Digests(_sha256(name_in(token)), _sha256(token))


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
