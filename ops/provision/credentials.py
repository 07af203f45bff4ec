"""The credentials that the bank shares with partners and stores, generated once.

They are kept in one file, seed.json (0600), because partners and database roles are set up with
them. The services read their credentials only from OpenBao.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

SIGNING_KEYS = frozenset({"service_account_issuer_key", "oauth_login_key"})
"""The fields that are EC keys on the curve P-256; the others are random texts."""


@dataclass(frozen=True)
class Credentials:
    """Every field is generated; keys are PEM (PKCS #8)."""

    postgres_superuser: str
    role_password_key: str
    ach_api_key: str
    ach_webhook_secret: str
    fraud_bearer_token: str
    oauth_client_secret: str
    sms_api_key: str
    sms_webhook_secret: str
    rekognition_access_key_id: str
    rekognition_secret_access_key: str
    service_account_issuer_key: str
    oauth_login_key: str

    def role_password(self, role: str) -> str:
        """Return a database role's password. It is derived, so a new role needs no new field."""
        return self.derived(role)

    def derived(self, label: str) -> str:
        """Return the secret of a label, 64 hexadecimal digits."""
        digest = hmac.new(self.role_password_key.encode(), label.encode(), hashlib.sha256)
        return digest.hexdigest()


def load_or_make(folder: Path) -> Credentials:
    """Return the credentials in a folder; fields that an older file lacks are added."""
    file = folder / "seed.json"
    known: dict[str, str] = json.loads(file.read_text()) if file.exists() else {}
    wanted = {item.name for item in fields(Credentials)}
    missing = wanted - known.keys()
    credentials = Credentials(**{name: known.get(name) or _make(name) for name in wanted})
    if missing:
        draft = file.with_suffix(".draft")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
            json.dump(asdict(credentials), out, indent=1)
        draft.replace(file)
    return credentials


def _make(name: str) -> str:
    if name in SIGNING_KEYS:
        return _pem(ec.generate_private_key(ec.SECP256R1()))
    return secrets.token_hex(24)


def _pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()
