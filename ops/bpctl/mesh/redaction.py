"""Removes secrets and personal data from texts of a report. Pure.

Logs and configurations are made to have none; this is a second net. A word that only looks like a
secret is removed too.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

REMOVED = "[removed]"
_LOCAL = r"[A-Za-z0-9._%+\-]"
_PATTERNS = tuple(
    re.compile(pattern, re.DOTALL)
    for pattern in (
        r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)",
        # A search begins only where a word begins: otherwise a long word takes minutes.
        r"(?<![\w\-])eyJ[A-Za-z0-9_\-]{5,}\.[A-Za-z0-9_\-]*\.?[A-Za-z0-9_\-]*",  # a JWT
        r"\bhv[sbr]\.[A-Za-z0-9_\-]{8,}",  # a token of OpenBao
        r"\b[sb]\.[A-Za-z0-9]{20,}",  # an older form of it
        r"\bAKIA[A-Z0-9]{16}\b",  # a key of AWS
        r"(?<=[Bb]earer )[^\s\"',\\]{4,}",
        r"(?<=[Bb]asic )[A-Za-z0-9+/=]{8,}",
        r"(?<=://)[^/\s:@\"']*:[^@/\s\"']+(?=@)",  # a password in a URL
        rf"(?<!{_LOCAL}){_LOCAL}+(?:@|%40)[A-Za-z0-9\-]+(?:\.[A-Za-z0-9\-]+)*\.[A-Za-z]{{2,}}",
        r"(?:(?<![\w.:/\-])\+|%2B)\d{8,15}\b",  # a phone number
    )
)
_NAMES = (
    *("password", "passwd", "secret", "secret[_-]?id", "otp", "pin", "token", "api[_-]?key"),
    *("authorization", "challenge", "signature", "recovery[_-]?codes", "(?:set-)?cookie"),
    *("phone", "email", "full[_-]?name", "display[_-]?name", "beneficiary(?:[_-]?name)?"),
    *("date[_-]?of[_-]?birth", "document[_-]?number", "address[_-]?line", "memo"),
    *("account[_-]?number", "routing[_-]?number"),
)
_FIELDS = re.compile(
    rf"(?P<name>(?:{'|'.join(_NAMES)})(?:\\*[\"'])?\s*[:=]\s*)"
    r"(?:(?P<quote>\\*[\"'])(?:(?!(?P=quote))(?:\\.|.))*(?P=quote)?"
    r"|(?:(?:bearer|basic)[ ]+)?(?!\[(?!removed)|\{)[^\s,;}&\"'\\]+)",
    re.IGNORECASE,
)
"""A field with its value, in quotes or not. The quotes of JSON inside JSON have backslashes."""
_COOKIES = re.compile(r"(?P<name>\b(?:set-)?cookie\s*[:=]\s*)[^\"'\n\\]+", re.IGNORECASE)
"""The header as it is: it has several values, with semicolons between them."""
_STAMP = re.compile(
    r"(?P<day>\d{4}-\d\d-\d\d)[T ](?P<time>\d\d:\d\d:\d\d)(?:[.,]\d+)?(?P<utc>Z|\+00:00)?"
)


def redacted(text: str) -> str:
    """Return the text without what looks like a secret or like personal data."""
    for pattern in _PATTERNS:
        text = pattern.sub(REMOVED, text)
    return _FIELDS.sub(_without_value, _COOKIES.sub(rf"\g<name>{REMOVED}", text))


def _without_value(found: re.Match[str]) -> str:
    quote = found["quote"] or ""
    return f"{found['name']}{quote}{REMOVED}{quote}"


def recent(log: str, since: datetime) -> str:
    """Return the lines of a log from a moment on. A line without a time belongs to the one before
    it; lines before the first time are left out.

    A time without a zone is local: Envoy and the control plane write such ones, services UTC.
    """
    kept: list[str] = []
    keeps = False
    for line in log.splitlines():
        if found := _STAMP.search(line[:100]):
            stamp = datetime.fromisoformat(f"{found['day']}T{found['time']}")
            keeps = (stamp.replace(tzinfo=UTC) if found["utc"] else stamp.astimezone()) >= since
        if keeps:
            kept.append(line)
    return "\n".join(kept) + "\n" if kept else ""
