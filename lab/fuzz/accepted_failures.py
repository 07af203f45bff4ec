"""What the checks may not hold against the bank, each with the reason why.

All checks of schemathesis run. A failure is dropped only here, only for the answers named, and
never for one whose status is not in the document or whose body has not the shape of an error.
"""

import json
import re
import unicodedata
from dataclasses import dataclass
from typing import Any

VERBS = {"DELETE", "GET", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"}
"""Verbs that a path may be asked with. QUERY is left out: Envoy's HTTP/1 parser knows no such verb
and ends the request as malformed (400 in JSON) before there is a route that could answer 405."""

_INTEGRAL_FLOAT = re.compile(r": -?\d+(\.0|e\+\d+)[,}]")
_SCHEMA_REASONS = {"INVALID_ARGUMENT", "MALFORMED_BODY", "UNKNOWN_FIELD", "INTERNAL_ERROR"}


@dataclass(frozen=True)
class AcceptedFailure:
    """One check, and the reasons of the contract under which it does not count."""

    check: str
    reason: str
    why: str

    def matches(self, check: str, reason: str) -> bool:
        """Tell whether a failure is dropped."""
        if check != self.check:
            return False
        if self.reason == "business":
            return bool(reason) and reason not in _SCHEMA_REASONS
        return reason == self.reason


ACCEPTED_FAILURES = (
    AcceptedFailure(
        "RejectedPositiveData",
        "business",
        "A schema says what a request looks like, not what the account holds, which tokens were "
        "given or which banks there are. A refusal for its form counts in full.",
    ),
    AcceptedFailure(
        "ServerError",
        "POSITION_NOT_REACHED",
        "The caller asked to wait for a position that the projection does not have; the contract "
        "answers 503 with RetryInfo, and the document says so.",
    ),
)


def is_accepted(failure: Any, sent: Any, body: Any) -> bool:
    """Tell whether a failed check is one of those above, or no good data was sent at all."""
    name, reason = type(failure).__name__, reason_of(body)
    if name == "RejectedPositiveData" and _is_not_as_documented(sent):
        return True
    return any(each.matches(name, reason) for each in ACCEPTED_FAILURES)


def _is_not_as_documented(sent: Any) -> bool:
    """Tell whether "good" data is what the document does not mean.

    JSON Schema takes 5.0 for an integer; the gateway has one spelling for a number. And the
    generator reads the pattern's \\p{C} as control characters alone, without the unassigned and
    the private ones, which the services refuse in names.
    """
    text = json.dumps(sent, ensure_ascii=False) if isinstance(sent, dict | list) else ""
    odd = any(unicodedata.category(char).startswith("C") for char in text)
    return odd or bool(_INTEGRAL_FLOAT.search(text))


def reason_of(body: Any) -> str:
    """Return ErrorInfo's reason in a JSON error; empty when it has none."""
    details: list[Any] = body.get("details") or [] if isinstance(body, dict) else []
    return next((str(each["reason"]) for each in details if "reason" in each), "")
