"""The users of Valkey and their rights, as one table; everything else is denied.

A service that is not in the table cannot use Valkey. The server knows only digests of the
passwords.
"""

from __future__ import annotations

import hashlib

from ops.provision.credentials import Credentials

PROBE = "probe"
"""The login that checks whether the server is ready."""
OPERATOR = "operator"
"""The login of operators. Its password is in no secret of OpenBao."""
JUDGE = "judge"
"""The login of the program that compares all stores."""

_WRITE = (
    "resetchannels -@all +@read +@write +@scripting +@transaction +@connection +time"
    " -@dangerous -@admin -script|flush -script|kill -function -client|list -client|info"
)
_KEYS = ("session", "otp", "tries", "resets", "refresh", "family", "sends", "faces", "revoked")
_READ_REVOKED = "resetchannels -@all +get +zrangebyscore +ping %R~revoked*"

RIGHTS = {
    "auth": " ".join((_WRITE, *(f"~{prefix}*" for prefix in _KEYS))),
    "payments": _READ_REVOKED,
    "transfers": _READ_REVOKED,
    "customers": _READ_REVOKED,
    "notifications": _READ_REVOKED,
}
"""Service -> its rules in Valkey's ACL language."""

_OPERATIONS = {
    PROBE: "resetchannels -@all +ping",
    # SCAN returns the names of all keys, because rights cannot restrict it. They hold no secret.
    JUDGE: "resetchannels -@all +ping +scan +hmget +zmscore %R~family:* %R~revoked",
    OPERATOR: "allchannels +@all ~*",
}


def password(credentials: Credentials, user: str) -> str:
    """Return the password of a user, 64 hexadecimal digits."""
    return credentials.derived(f"valkey/{user}")


def login(credentials: Credentials, user: str) -> dict[str, str]:
    """Return the fields of the secret `valkey/<user>`."""
    return {"username": user, "password": password(credentials, user)}


def acl_file(credentials: Credentials) -> str:
    """Return the text of the server's ACL file; connections without a login can do nothing."""
    lines = ["user default off resetpass resetkeys resetchannels -@all"]
    for user, rules in {**RIGHTS, **_OPERATIONS}.items():
        digest = hashlib.sha256(password(credentials, user).encode()).hexdigest()
        lines.append(f"user {user} on #{digest} {rules}")
    return "\n".join(lines) + "\n"
