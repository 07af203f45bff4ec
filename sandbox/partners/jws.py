"""Compact JSON Web Signatures for the partners: ES256 to sign, RS256 to verify.

It uses only `cryptography`, to keep each process small, and is an independent implementation
against which the bank's library is tested.
"""

import base64
import binascii
from typing import Any

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

COORDINATE_BYTES = 32


class JwsError(ValueError):
    """The token cannot be read, its algorithm is not the expected one, or its signature is bad."""


def b64url(raw: bytes) -> str:
    """Base64url without padding."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def sign_es256(key: ec.EllipticCurvePrivateKey, kid: str, claims: dict[str, Any]) -> str:
    """Return a signed token. By RFC 7518, 3.4 the signature is r and s, 32 bytes each, not DER."""
    header = {"alg": "ES256", "kid": kid, "typ": "at+jwt"}
    content = f"{b64url(orjson.dumps(header))}.{b64url(orjson.dumps(claims))}"
    r, s = decode_dss_signature(key.sign(content.encode(), ec.ECDSA(hashes.SHA256())))
    return f"{content}.{b64url(_coordinate(r) + _coordinate(s))}"


def public_jwk(key: ec.EllipticCurvePublicKey, kid: str) -> dict[str, str]:
    """Return the public key as an entry of a key set."""
    point = key.public_numbers()
    x, y = b64url(_coordinate(point.x)), b64url(_coordinate(point.y))
    use = {"kid": kid, "use": "sig", "alg": "ES256"}
    return {"kty": "EC", "crv": "P-256", "x": x, "y": y, **use}


def verify_rs256(key: rsa.RSAPublicKey, token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Verify a token's signature and return (header, claims); the caller checks the claims."""
    content, _, signature = token.rpartition(".")
    first, dot, second = content.partition(".")
    if not dot:
        raise JwsError("three parts are expected")
    header, claims = _document(first), _document(second)
    if header.get("alg") != "RS256":
        raise JwsError("algorithm RS256 is expected")
    try:
        key.verify(_bytes(signature), content.encode(), padding.PKCS1v15(), hashes.SHA256())
    except InvalidSignature as error:
        raise JwsError("the signature is invalid") from error
    return header, claims


def _coordinate(value: int) -> bytes:
    return value.to_bytes(COORDINATE_BYTES, "big")


def _document(part: str) -> dict[str, Any]:
    try:
        document = orjson.loads(_bytes(part))
    except orjson.JSONDecodeError as error:
        raise JwsError("a part is not JSON") from error
    if not isinstance(document, dict):
        raise JwsError("a part is not a JSON object")
    return document


def _bytes(part: str) -> bytes:
    try:
        return base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise JwsError("a part is not base64url") from error
