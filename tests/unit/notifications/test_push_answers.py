"""Answers of the push service with values of any type."""

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime

import pytest

from services.notifications.partners import understood
from services.notifications.state import Outcome, Push

DEEP = b"[" * 1010 + b"]" * 1010
"""orjson reads it, but str() of the value exceeds Python's recursion limit."""

PUSH = Push(
    notification_id=uuid.UUID(int=1),
    device="device",
    event_id="event",
    template="TRANSFER_SENT",
    title="Dinero enviado",
    body="Enviaste 1,00 USD.",
    transfer_id="transfer",
    create_time=datetime(2026, 3, 2, tzinfo=UTC),
    attempts=0,
    lease_end=datetime(2026, 3, 3, tzinfo=UTC),
)
NO_HEADERS: Mapping[str, str] = {}


@pytest.mark.parametrize(
    "error",
    [
        b'{"status":' + DEEP + b"}",
        b'{"details":[{"errorCode":' + DEEP + b"}]}",
        b'{"details":[7]}',
        b'{"details":{"errorCode":7}}',
        DEEP,
    ],
)
def test_a_push_with_an_unreadable_error_is_sent_again(error: bytes) -> None:
    attempt = understood(PUSH, 400, NO_HEADERS, b'{"error":' + error + b"}")
    assert (attempt.outcome, attempt.detail) == (Outcome.POSTPONED, "400")


def test_a_push_that_was_taken_under_an_unreadable_name_is_no_success() -> None:
    with pytest.raises(ValueError, match="without name"):
        understood(PUSH, 200, NO_HEADERS, b'{"name":' + DEEP + b"}")
