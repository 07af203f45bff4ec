"""PostgreSQL logs that it refused a row, but never the row's data.

Each error is caused twice: with the server's settings, and in a session that undoes the settings
that hide the row. The second run proves that the test searches the right log and that each setting
hides something.
"""

import io
import uuid
from collections.abc import Awaitable, Callable
from contextlib import suppress

import asyncpg
import pytest

from services.kernel.ids import new_id
from tests.rigs.running_bank import Bank

NAME, NUMBER, EMAIL = "Ottoline Sparrow", "4406183927", "ottoline.sparrow@example.com"
WORDS = (NAME, NUMBER, EMAIL)
"""Used only in this file: the other log tests must not find the words that these tests log."""
SLOW_S = 0.6
"""Longer than log_min_duration_statement, so that the statement is logged."""

Cause = Callable[[asyncpg.Connection], Awaitable[object]]

_CUSTOMER = "INSERT INTO customers.customer VALUES ($1, $2, $3, $4, $5)"


async def _a_transfer_that_breaks_a_rule(connection: asyncpg.Connection) -> None:
    sql = (
        "INSERT INTO payments.interbank_transfer (shard, transfer_id, customer_id, account_id,"
        " amount, currency, beneficiary_name, routing_number, account_number, account_type, memo,"
        " fraud_review, state, idempotency_key, correlation_id, traceparent, create_time,"
        " update_time, lease_owner, lease_until) VALUES (0, $1, $2, $2, 0, 'USD', $3, '021000021',"
        " $4, 'CHECKING', '', false, 'DEBITED', '', '', '', now(), now(), '', now())"
    )
    await connection.execute(sql, new_id(0), new_id(0), NAME, NUMBER)


async def _a_user_name_twice(connection: asyncpg.Connection) -> None:
    async with connection.transaction():
        for _ in range(2):
            user_name = f"user{NUMBER}"
            await connection.execute(_CUSTOMER, uuid.uuid4(), user_name, NAME, EMAIL, "en")


async def _a_copied_line_that_breaks_a_rule(connection: asyncpg.Connection) -> None:
    line = f"{uuid.uuid4()},user{NUMBER},{NAME},{EMAIL},xx\n"
    await connection.copy_to_table(
        "customer",
        schema_name="customers",
        columns=["customer_id", "user_name", "display_name", "email", "locale"],
        source=io.BytesIO(line.encode()),
        format="csv",
    )


async def _an_error_of_a_statement_with_literals(connection: asyncpg.Connection) -> None:
    await connection.execute(f"SELECT 1 / (length('{NAME} {NUMBER}') - {len(NAME + NUMBER) + 1})")


async def _an_error_of_a_statement_with_parameters(connection: asyncpg.Connection) -> None:
    await connection.fetch("SELECT 1 / (length($1::text) - length($1::text))", NAME)


async def _a_slow_statement_with_parameters(connection: asyncpg.Connection) -> None:
    await connection.fetch(f"SELECT pg_sleep({SLOW_S}), $1::text", NAME)


TALKATIVE = {
    "log_error_verbosity": "default",
    "log_min_error_statement": "error",
    "log_parameter_max_length": "-1",
    "log_parameter_max_length_on_error": "-1",
}
"""PostgreSQL's default settings, with the logging of parameters enabled."""

CASES = [
    ("bp_write", _a_transfer_that_breaks_a_rule, "violates check constraint", "DETAIL:"),
    ("bp_customers", _a_user_name_twice, "duplicate key value", "DETAIL:"),
    ("bp_customers", _a_copied_line_that_breaks_a_rule, "violates check constraint", "CONTEXT:"),
    ("bp_write", _an_error_of_a_statement_with_literals, "division by zero", "STATEMENT:"),
    ("bp_write", _an_error_of_a_statement_with_parameters, "division by zero", "CONTEXT:"),
    ("bp_write", _a_slow_statement_with_parameters, "duration:", "DETAIL:"),
]


async def _written(bank: Bank, database: str, cause: Cause, *, talkative: bool) -> list[str]:
    """Cause an error in a new session; return PostgreSQL's log lines of that session."""
    connection = await bank.connect(database)
    session = f"session-{uuid.uuid4().hex}"
    try:
        await connection.execute(f"SET application_name = '{session}'")
        for name, value in TALKATIVE.items() if talkative else ():
            await connection.execute(f"SET {name} = '{value}'")
        with suppress(asyncpg.PostgresError):
            await cause(connection)
    finally:
        await connection.close()
    return [line for line in bank.stack.log("postgres").splitlines() if session in line]


@pytest.mark.judged_with_its_module
@pytest.mark.parametrize(("database", "cause", "told", "part"), CASES)
async def test_the_log_has_the_error_and_no_personal_data(
    bank: Bank, database: str, cause: Cause, told: str, part: str
) -> None:
    lines = await _written(bank, database, cause, talkative=True)
    told_of = [line for line in lines if part in line and any(word in line for word in WORDS)]
    assert told_of, f"this error's {part} holds no personal data to hide: {lines}"
    lines = await _written(bank, database, cause, talkative=False)
    assert any(told in line for line in lines), lines
    assert not [line for line in lines if any(word in line for word in WORDS)]
