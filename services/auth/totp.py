"""Codes of authenticator apps (RFC 6238), and the recovery codes for a lost app. Pure.

The store refuses a time step that was used; here a code only finds its step.
"""

import hmac
import re
import secrets
import uuid
from datetime import datetime
from io import BytesIO

import segno
from pyotp.totp import TOTP

ISSUER = "BP"
SECRET_CHARACTERS = 32
"""160 bits in base32, the length that RFC 4226 recommends."""
STEP_S = 30
STEPS_OF_DRIFT = 1
"""A phone's clock may be one step off, as RFC 6238 (5.2) recommends."""
RECOVERY_CODES = 10
GROUP_CHARACTERS = 5
BASE32_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
"""RFC 4648. A recovery code of ten characters has 50 bits."""
_CODE = re.compile(r"[0-9]{6}")
_TYPED = str.maketrans({"0": "O", "1": "I", "8": "B", " ": None, "-": None})
"""Digits that the alphabet lacks are read as the letters that look like them."""


def new_secret() -> str:
    """Return a new secret of 160 bits in base32."""
    return "".join(secrets.choice(BASE32_ALPHABET) for _ in range(SECRET_CHARACTERS))


def otpauth_uri(secret: str, account: str) -> str:
    """Return the URI that an authenticator app reads; `account` is the name that the app shows."""
    return TOTP(secret).provisioning_uri(name=account, issuer_name=ISSUER)


def qr_svg(uri: str) -> str:
    """Return the URI as a QR code, an SVG document without scripts or references."""
    out = BytesIO()
    segno.make(uri, error="m", micro=False).save(out, kind="svg", scale=4, border=4, nl=False)
    return out.getvalue().decode()


def matching_step(secret: str, code: str, now: datetime) -> int | None:
    """Return the time step whose code was typed, None for a wrong code.

    The step before and the step after `now` also count. Each candidate is compared in constant
    time, and all of them are compared. Of two equal codes the later step is returned, so that the
    code cannot be used again.
    """
    typed = code.replace(" ", "")
    if not _CODE.fullmatch(typed):
        return None
    generator = TOTP(secret, interval=STEP_S)
    current, found = int(now.timestamp()) // STEP_S, None
    for step in range(current - STEPS_OF_DRIFT, current + STEPS_OF_DRIFT + 1):
        if hmac.compare_digest(generator.generate_otp(step), typed):
            found = step
    return found


def new_recovery_codes() -> list[str]:
    """Return ten different codes, each of two groups such as "K4TQZ-7WMCA"."""
    codes: set[str] = set()
    while len(codes) < RECOVERY_CODES:
        codes.add("-".join(_group() for _ in range(2)))
    return list(codes)


def is_recovery_code(code: str) -> bool:
    """Return whether a typed code has the form of a recovery code; no code of six digits has it."""
    typed = code.upper().translate(_TYPED)
    return len(typed) == 2 * GROUP_CHARACTERS and set(typed) <= set(BASE32_ALPHABET)


def recovery_digest(code_key: bytes, customer_id: uuid.UUID, code: str) -> bytes | None:
    """Return the 32 bytes that the bank stores for a recovery code.

    Case, spaces and hyphens of the typed code do not count. None means that no recovery code looks
    like this. The digest depends on the customer, so equal codes of two customers differ.
    """
    if not is_recovery_code(code):
        return None
    typed = code.upper().translate(_TYPED)
    message = b"recovery code\0" + customer_id.bytes + typed.encode("ascii")
    return hmac.digest(code_key, message, "sha256")


def _group() -> str:
    return "".join(secrets.choice(BASE32_ALPHABET) for _ in range(GROUP_CHARACTERS))
