"""The text messages with a one-time code. Pure.

The last line has the format of origin-bound one-time codes, so a phone offers the code only on the
bank's own site. All letters are in GSM-7, so each message is one segment.
"""

import re

from services.auth.state import Purpose

SEGMENT_CHARACTERS_MAX = 160
DEFAULT_LOCALE = "en"
TEXTS = {
    ("en", Purpose.LOGIN): "{code} is your code to log in to BP.",
    ("en", Purpose.STEP_UP): "{code} is your code to confirm a payment or a change at BP.",
    ("en", Purpose.RESET): "{code} is your code to set a new password at BP.",
    ("es", Purpose.LOGIN): "{code} es tu clave para entrar en BP.",
    ("es", Purpose.STEP_UP): "{code} es tu clave para confirmar un pago o un cambio en BP.",
    ("es", Purpose.RESET): "{code} es tu clave para cambiar tu contraseña en BP.",
}
"""The Spanish texts avoid á, í, ó and ú: GSM-7 lacks them, and they would halve the segment."""
WARNINGS = {
    "en": "BP never asks you for it.",
    "es": "BP nunca te la pide.",
}
_CODE = re.compile(r"[0-9]{6}")
_DOMAIN = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)+")


def text_message(code: str, purpose: Purpose, *, locale: str, domain: str) -> str:
    """Return the text with a six-digit code, at most 160 characters of GSM-7.

    `locale` is a BCP 47 tag; a language that the bank does not have gets English. Raise ValueError
    for a code that is not six digits and for a malformed domain: neither can add a line.
    """
    if not _CODE.fullmatch(code):
        raise ValueError("the code must have six digits")
    if not _DOMAIN.fullmatch(domain):
        raise ValueError("the domain must be a host name in ASCII")
    language = _language(locale)
    sentence = TEXTS[language, purpose].format(code=code)
    text = f"{sentence} {WARNINGS[language]}\n@{domain} #{code}"
    if len(text) > SEGMENT_CHARACTERS_MAX:
        raise ValueError("the domain is too long for one text message")
    return text


def _language(locale: str) -> str:
    language = locale.partition("-")[0].lower()
    return language if language in WARNINGS else DEFAULT_LOCALE
