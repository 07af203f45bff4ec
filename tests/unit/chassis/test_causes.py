"""An error's text, which may quote a customer's data, is neither logged nor parked."""

import asyncpg
import pytest

from services.chassis.kafka import BadMessage, Record, parked
from services.chassis.kafka.causes import cause_of, trace_of

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
