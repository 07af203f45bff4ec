"""The signature of a partner's webhook, which covers the raw body and a time. Pure.

The header's value is `t=<unix seconds>,v1=<hex HMAC-SHA-256 of "<t>.<body>">`. There may be several
signatures, header lines and blanks after commas. One good signature is enough, so that the partner
can change its secret.
"""

import hmac
import re
from collections.abc import Iterable

TOLERANCE_S = 300
_TIMES_MAX = 4
_SIGNATURES_MAX = 8
_TIME = re.compile(r"[0-9]{1,12}")
_MAC = re.compile(r"[0-9A-Fa-f]{64}")


def is_signed(header: str, body: bytes, secrets: Iterable[bytes], now_s: int) -> bool:
    """Return whether one of the secrets signed this body in the last five minutes.

    `secrets` are the valid secrets: two while the partner changes its secret.
    """
    times, signatures = _parameters(header)
    if len(times) > _TIMES_MAX or len(signatures) > _SIGNATURES_MAX:
        return False
    recent = [one for one in times if abs(now_s - int(one)) <= TOLERANCE_S]
    expected = [
        hmac.digest(secret, signed_at.encode() + b"." + body, "sha256")
        for signed_at in recent
        for secret in secrets
        if secret
    ]
    # Every pair is compared, so that the time taken does not reveal which pair is equal.
    equal = [hmac.compare_digest(one, other) for one in expected for other in signatures]
    return any(equal)


def _parameters(header: str) -> tuple[set[str], list[bytes]]:
    """Return the times and the signatures of a header; ignore other parameters."""
    named = [part.strip(" \t").partition("=") for part in header.split(",")]
    times = {value for name, _, value in named if name == "t" and _TIME.fullmatch(value)}
    signatures = [
        bytes.fromhex(value) for name, _, value in named if name == "v1" and _MAC.fullmatch(value)
    ]
    return times, signatures
