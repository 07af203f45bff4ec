"""Which details of an error and of a call a log line has."""

import asyncio
import json
import uuid
from typing import Any, cast

import asyncpg
import pytest
import structlog
from bp.payments.v1.payments_service_pb2 import GetInterbankTransferRequest
from bp.type.v1.account_ref_pb2 import AccountRef

from services import contracts
from services.chassis import boundary, telemetry
from services.chassis.revocations import RevokedSessions
from tests.rigs.sidecar_calls import SCOPES, certificate_of

REQUEST_ID, TRACE_ID = "r-17", "4bf92f3577b34da6a3ce929d0e0e4736"


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


REFUSED_VALUES = {
    "by the driver": "invalid input for query argument $7: 'Bo Rivera\\x00' (a NUL)",
    "of a type": 'invalid input syntax for type uuid: "Bo Rivera"',
    "with quotes": 'invalid input syntax for type json: "Bo "the" Rivera"',
    "of an enum": 'invalid input value for enum payments.kind: "Bo\nRivera"',
}


@pytest.mark.parametrize("text", REFUSED_VALUES.values(), ids=REFUSED_VALUES)
def test_the_value_that_postgresql_would_not_read_is_not_in_the_log(
    capsys: pytest.CaptureFixture[str], text: str
) -> None:
    try:
        telemetry.configure("payments", "0", "INFO")
        error = LookupError("no transfer")
        error.__cause__ = asyncpg.DataError(text)
        structlog.get_logger().error("call.defect", exc_info=error, detail=text)
    finally:
        structlog.reset_defaults()
        structlog.contextvars.clear_contextvars()
    line = json.loads(capsys.readouterr().out)
    for field in ("exception", "detail"):
        assert "Rivera" not in line[field]
        assert text.partition(":")[0] in line[field]
    assert line["exception"].endswith("LookupError: no transfer")


def _logged(text: str) -> str:
    return telemetry._without_rows(None, "error", {"event": text})["event"]


READ = "invalid input syntax for type a"
BORDER = "+------------------------------------"


@pytest.mark.parametrize(
    "rest",
    [
        *("", "\nHINT:  Look up.", "\n\nDuring handling of the above exception"),
        '\nTraceback (most recent call last):\n  File "a.py"',
        *(f"\n    {BORDER}", f'\n    +-{BORDER}\n      | KeyError: "a"'),
        *("\n  | HINT:  Look up.", "\n  | \n  | The above exception was the direct cause"),
        '\n  + Exception Group Traceback (most recent call last):\n  |   File "a.py"',
    ],
)
@pytest.mark.parametrize(
    "value",
    [
        *('"Bo"', '"Bo', '"Bo"\nRivera"', '"Bo" at 1\nRivera', '"Bo\n+-\n\nRivera" at 1'),
        '"' + "Bo\n" * 3000 + 'Rivera"',
    ],
)
def test_a_refused_value_is_cut_up_to_the_end_of_its_error(value: str, rest: str) -> None:
    """Regression: a line that ended with a quote ended the value, in the value or far after it."""
    assert _logged(f"{READ}: {value}{rest}") == READ + rest


def test_many_refused_values_without_an_end_are_read_once() -> None:
    """The first contains the others. Regression: the end of each was looked for up to the end of
    the text, which took seconds."""
    assert _logged(f'{READ}: "x\n' * 4000) == READ


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


async def test_each_line_of_a_call_has_its_request_id_and_its_trace_id(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error of a defect tells the caller to name the request id, so a line must have it."""
    # A logger keeps the output of its first line, and this test's output is closed at its end.
    monkeypatch.setattr(boundary, "log", structlog.get_logger())
    try:
        telemetry.configure("payments", "0", "INFO")
        await asyncio.create_task(_defect())
    finally:
        structlog.reset_defaults()
        structlog.contextvars.clear_contextvars()
    defect = json.loads(capsys.readouterr().out)
    assert defect["message"] == "call.defect"
    assert (defect["http.request.id"], defect["trace.id"]) == (REQUEST_ID, TRACE_ID)


class _Context:
    """The context of a call through the gateway; `abort` only ends the call."""

    def invocation_metadata(self) -> list[tuple[str, str]]:
        return [
            certificate_of("gateway"),
            ("x-bp-subject", str(uuid.uuid4())),
            ("x-bp-scope", SCOPES),
            ("x-bp-session", str(uuid.uuid4())),
            ("x-request-id", REQUEST_ID),
            ("traceparent", f"00-{TRACE_ID}-0000000000000007-01"),
        ]

    async def abort(self, *_: object) -> None:
        """Do nothing: the test reads the log."""


async def _defect() -> None:
    async def handler(_request: object, _context: object) -> None:
        raise KeyError

    contract = contracts.load()["/bp.payments.v1.PaymentsService/GetInterbankTransfer"]
    request = GetInterbankTransferRequest(transfer_id=str(uuid.uuid4()))
    call = boundary.guarded(contract, handler, boundary.CallLimit(1), RevokedSessions())
    await call(request, cast("Any", _Context()))


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


@pytest.mark.parametrize(("value", "shown"), [(b"UNDECODABLE", "UNDECODABLE"), (b"\xff", "\ufffd")])
def test_bytes_are_logged_as_text(value: bytes, shown: str) -> None:
    line = telemetry._to_ecs(None, "error", {"event": "x", "timestamp": "t", "reason": value})
    assert json.loads(line)["reason"] == shown
