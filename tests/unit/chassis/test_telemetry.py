"""The details of an error in a log line."""

import json

import asyncpg
import pytest
import structlog
from bp.type.v1.account_ref_pb2 import AccountRef

from services.chassis import telemetry


def test_the_row_that_postgresql_would_not_take_is_not_in_the_log(
    capsys: pytest.CaptureFixture[str],
) -> None:
    try:
        telemetry.configure("payments", "0", "INFO")
        structlog.get_logger().error("call.defect", exc_info=_chained())
    finally:
        structlog.reset_defaults()
        structlog.contextvars.clear_contextvars()
    line = json.loads(capsys.readouterr().out)
    assert "Bo Rivera" not in line["exception"]
    assert "second line of the memo" not in line["exception"]
    for kept in ("CheckViolationError: new row is refused", "LookupError: no transfer", "Look up"):
        assert kept in line["exception"]


def test_a_message_is_logged_by_its_name_alone(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        telemetry.configure("payments", "0", "INFO")
        request = AccountRef(name="Bo Rivera", account_number="000123456789")
        structlog.get_logger().info("call.received", request=request)
    finally:
        structlog.reset_defaults()
        structlog.contextvars.clear_contextvars()
    line = capsys.readouterr().out
    assert json.loads(line)["request"] == "<bp.type.v1.AccountRef>"
    assert "Rivera" not in line


def _chained() -> Exception:
    refused = asyncpg.CheckViolationError("new row is refused")
    # asyncpg sets what the server sends as attributes that its class does not declare.
    vars(refused).update(
        detail="Failing row contains (1, Bo Rivera, rent\n\nsecond line of the memo).",
        hint="Look up the rule.",
    )
    error = LookupError("no transfer")
    error.__cause__ = refused
    return error
