"""An error's text, which may quote a customer's data, is neither logged nor parked."""

import asyncpg
import pytest

from services.chassis.kafka import BadMessage, Record, parked
from services.chassis.kafka.causes import ERRORS_MAX, cause_of, trace_of

SECRET = "Luis Castro 021000021"


def refused(kind: type[asyncpg.PostgresError], **fields: str) -> asyncpg.PostgresError:
    error = kind(f'invalid input syntax for type uuid: "{SECRET}"')
    for name, value in fields.items():
        setattr(error, name, value)
    return error


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (BadMessage("UNDECODABLE", SECRET), "BadMessage UNDECODABLE"),
        (refused(asyncpg.DataError, sqlstate="22P02"), "DataError 22P02"),
        (
            refused(asyncpg.CheckViolationError, constraint_name="amount_check"),
            "CheckViolationError 23514 amount_check",
        ),
        (ValueError(SECRET), "ValueError"),
        (KeyError(SECRET), "KeyError"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_error_is_named_by_its_class_and_reason(error: Exception, cause: str) -> None:
    assert cause_of(error) == cause
    record = Record("payments", 0, 7, b"key", b"value", ())
    headers = dict(parked(record, "DEFECT", "audit", error).headers)
    assert headers["dlq-error"] == f"[audit] {cause}".encode()


def test_a_traceback_has_the_places_and_classes_of_all_errors_and_no_text() -> None:
    def decode() -> None:
        raise ValueError(SECRET)

    def read() -> None:
        try:
            decode()
        except ValueError as error:
            raise BadMessage("ID_INVALID", str(error)) from error

    with pytest.raises(BadMessage) as raised:
        read()
    trace = trace_of(raised.value)
    assert SECRET not in trace
    lines = trace.splitlines()
    assert any(line.endswith("in decode") for line in lines[: lines.index("ValueError")])
    assert lines[-1] == "BadMessage ID_INVALID"


def _failed(reason: str) -> BadMessage:
    """Return an error that was raised because of another one."""
    try:
        try:
            raise KeyError(SECRET)
        except KeyError as error:
            raise BadMessage(reason, SECRET) from error
    except BadMessage as error:
        return error


def test_the_errors_of_a_group_are_in_its_traceback() -> None:
    """Regression: the log said only that there was a group."""
    parts = [_failed("FIRST"), ExceptionGroup(SECRET, [_failed("SECOND")])]
    with pytest.raises(ExceptionGroup) as raised:
        raise ExceptionGroup(SECRET, parts)
    trace = trace_of(raised.value)
    assert SECRET not in trace
    words = [line for line in trace.splitlines() if not line.startswith(" ")]
    assert words == [
        *("KeyError", "BadMessage FIRST"),
        *("KeyError", "BadMessage SECOND", "ExceptionGroup", "ExceptionGroup"),
    ]
    assert trace.count("in _failed") == 4


def test_a_traceback_has_a_limited_number_of_errors() -> None:
    many = [ValueError(SECRET) for _ in range(ERRORS_MAX)]
    lines = trace_of(ExceptionGroup("many", many)).splitlines()
    assert lines == ["ValueError"] * (ERRORS_MAX - 1) + ["ExceptionGroup"]
