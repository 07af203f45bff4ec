"""Answers of the push service with values of any type."""

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import orjson
import pytest
from joserfc.jwk import RSAKey

from services.notifications.partners import (
    AccessTokens,
    TokenRefused,
    _detail,
    _granted,
    understood,
)
from services.notifications.state import Outcome, Push
from tests.rigs.push_service import service_account

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


@pytest.mark.parametrize("code", ["Bo Rivera\n", "x" * 60_000, "NUL\0", "N\u00fa\u00f1ez"])
@pytest.mark.parametrize("field", ["errorCode", "status", "oauth"])
def test_only_a_short_plain_code_of_an_answer_is_stored(field: str, code: str) -> None:
    error: object = {"errorCode": {"details": [{"errorCode": code}]}, "oauth": code}.get(
        field, {"status": code}
    )
    body = orjson.dumps({"error": error, "message": "Bo Rivera"})
    assert understood(PUSH, 503, NO_HEADERS, body).detail == "503"
    with pytest.raises(TokenRefused, match=r"^400$"):
        _granted(400, body)


def test_a_long_name_of_a_push_that_was_taken_is_not_stored() -> None:
    attempt = understood(PUSH, 200, NO_HEADERS, orjson.dumps({"name": "x" * 60_000}))
    assert (attempt.outcome, attempt.detail) == (Outcome.TAKEN, "")


def test_a_refused_token_has_the_code_of_oauth_and_no_other_text_of_the_answer() -> None:
    body = b'{"error":"invalid_grant","assertion":"eyJhbGciOiJSUzI1NiJ9.secret"}'
    with pytest.raises(TokenRefused) as refused:
        _granted(400, body)
    assert _detail(refused.value) == "TokenRefused: 400 invalid_grant"
    with pytest.raises(ValueError, match="secret") as unreadable:
        _granted(200, b'{"access_token":"secret","expires_in":"secret"}')
    assert _detail(unreadable.value) == "ValueError"


def test_the_key_of_the_service_account_is_parsed_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parsing it blocks the event loop, so no request for a token may repeat it."""
    tokens = AccessTokens(cast("Any", None), service_account(tmp_path))

    def parse_again(*_: object) -> None:
        pytest.fail("the key is parsed again")

    monkeypatch.setattr(RSAKey, "import_key", parse_again)
    assert tokens._assertion().count(".") == 2
