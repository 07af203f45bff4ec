"""The accepted failures of schemathesis, each with the reason.

All checks of schemathesis run. A failure is accepted only here and only for the listed answers. A
status that is not in the document or a body without the shape of an error is never accepted.
"""

import json
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from services.nacha.line_text import line_text

VERBS = {"DELETE", "GET", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"}
"""Verbs to try on each path. QUERY is left out: Envoy's HTTP/1 parser does not know it and rejects
the request as malformed (400 in JSON) before a route could answer 405."""

_INTEGRAL_FLOAT = re.compile(r": -?\d+(\.0|e\+\d+)[,}]")
_SCHEMA_REASONS = {
    "INVALID_ARGUMENT",
    "MALFORMED_BODY",
    "UNKNOWN_FIELD",
    "UNSUPPORTED_MEDIA_TYPE",
    "NOT_ACCEPTABLE",
    "INTERNAL_ERROR",
}


@dataclass(frozen=True)
class AcceptedFailure:
    """A check whose failure is accepted if the answer has one of these reasons of the contract."""

    check: str
    reason: str
    """A reason of the contract, or "business" for every reason that is not about the schema."""
    why: str

    def matches(self, check: str, reason: str) -> bool:
        """Return whether a failed check with this reason in the answer is accepted."""
        if check != self.check:
            return False
        if self.reason == "business":
            return bool(reason) and reason not in _SCHEMA_REASONS
        return reason == self.reason


ACCEPTED_FAILURES = (
    AcceptedFailure(
        "RejectedPositiveData",
        "business",
        "A schema describes the form of a request. It does not know the balance, the valid tokens "
        "or the existing banks. A refusal because of the form is still a failure.",
    ),
    AcceptedFailure(
        "ServerError",
        "POSITION_NOT_REACHED",
        "The caller asked to wait for a position that the projection does not have. By contract "
        "the answer is 503 with RetryInfo, and the document says so.",
    ),
)


def is_accepted(failure: Any, sent: Any, body: Any) -> bool:
    """Return whether a failure is in the table above or was caused by invalid data."""
    name, reason = type(failure).__name__, reason_of(body)
    if name == "RejectedPositiveData" and _is_not_as_documented(sent):
        return True
    return any(each.matches(name, reason) for each in ACCEPTED_FAILURES)


def _is_not_as_documented(sent: Any) -> bool:
    """Return whether data that the generator considers valid is invalid by the document.

    JSON Schema accepts 5.0 as an integer, but the gateway accepts only one spelling of a number.
    The generator reads \\p{C} in a pattern as control characters only, but the class also has
    unassigned and private characters, which the services refuse in names. The schema of a choice
    does not say that one of its fields is needed, only its description does. A pattern cannot
    say that a name must be visible and fit in an ACH entry; only the field's description does.
    """
    text = json.dumps(sent, ensure_ascii=False) if isinstance(sent, dict | list) else ""
    odd = any(unicodedata.category(char).startswith("C") for char in text)
    whole = not _INTEGRAL_FLOAT.search(text) and not _lacks_biometric(sent)
    return odd or not whole or any(map(_is_no_name, _texts(sent)))


def _lacks_biometric(sent: Any) -> bool:
    """Return whether a biometric step has neither an assertion nor a picture."""
    data = sent.get("biometricData") if isinstance(sent, dict) else None
    return isinstance(data, dict) and all(value is None for value in data.values())


def _texts(sent: Any) -> Iterator[str]:
    if isinstance(sent, str):
        yield sent
    elif isinstance(sent, dict | list):
        for part in sent.values() if isinstance(sent, dict) else sent:
            yield from _texts(part)


def _is_no_name(text: str) -> bool:
    """Return whether a text does not fit in an ACH entry, or begins with a combining mark."""
    begins = unicodedata.category(text.strip()[:1] or "a")
    return line_text(text) is None or begins.startswith("M")


def reason_of(body: Any) -> str:
    """Return ErrorInfo's reason from a JSON error; empty if it has none."""
    details: list[Any] = body.get("details") or [] if isinstance(body, dict) else []
    return next((str(each["reason"]) for each in details if "reason" in each), "")
