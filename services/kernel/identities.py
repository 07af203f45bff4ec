"""The names of the bank's workloads: SPIFFE ids in certificates, subjects in tokens.

Only this module builds and parses such names. It handles only text; other modules verify
certificates and tokens.
"""

import re

TRUST_DOMAIN = "bp.internal"
NAMESPACE = "bp"
GATEWAY = "gateway"
"""Service account of the gateway, which calls for customers and partners."""

SPIFFE_PREFIX = f"spiffe://{TRUST_DOMAIN}/"
"""Every SPIFFE id of the trust domain begins with this."""
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
"""The form of a service account's name in Kubernetes: a DNS label."""
_SERVICE_ACCOUNTS = f"{SPIFFE_PREFIX}ns/{NAMESPACE}/sa/"


def spiffe_id(name: str) -> str:
    """Return the SPIFFE id of a service account as a URI."""
    return f"{_SERVICE_ACCOUNTS}{name}"


def service_account(uri: str) -> str | None:
    """Return the service account that a SPIFFE id names; None for any other URI."""
    if not uri.startswith(_SERVICE_ACCOUNTS):
        return None
    name = uri.removeprefix(_SERVICE_ACCOUNTS)
    return name if _NAME.fullmatch(name) else None


def token_subject(name: str) -> str:
    """Return the claim `sub` of a service account's token, as Kubernetes writes it."""
    return f"system:serviceaccount:{NAMESPACE}:{name}"
