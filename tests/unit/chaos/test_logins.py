"""A new customer of a chaos run while the databases stop: no defect of the run."""

import math
from typing import cast

import asyncpg
import pytest

from lab.chaos import logins
from lab.chaos.logins import Logins
from sandbox.client import Answer, BankClient


class Failing:
    """A bank whose databases fail with one error."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    async def customer(self) -> None:
        raise self._error


@pytest.mark.parametrize(
    "error",
    [
        ConnectionRefusedError(),
        asyncpg.InterfaceError("connection is closed"),
        ExceptionGroup("", [asyncpg.InterfaceError("connection is closed"), OSError()]),
    ],
)
async def test_no_customer_is_made_while_the_databases_are_down(error: Exception) -> None:
    assert await Logins(cast(BankClient, Failing(error))).opened() is None


async def test_another_error_is_not_hidden() -> None:
    bank = Failing(ExceptionGroup("", [OSError(), KeyError("amount")]))
    with pytest.raises(ExceptionGroup) as raised:
        await Logins(cast(BankClient, bank)).opened()
    assert [type(error) for error in raised.value.exceptions] == [KeyError]


@pytest.mark.parametrize("status", [429, 503, 504])
async def test_a_step_is_repeated_until_its_answer_is_definite(
    monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    """A new login instead would use up one of the day's codes."""
    monkeypatch.setattr(logins, "PAUSE_S", 0)
    answers = [Answer(status, "", {}, {}), Answer(status, "", {}, {}), Answer(200, "", {}, {})]

    async def send() -> Answer:
        return answers.pop(0)

    run = Logins(cast(BankClient, None))
    assert (await run.definite("verify-otp", send, math.inf)).status == 200
    assert sum(run.answers.values()) == 3


async def test_no_step_is_repeated_after_the_end_of_the_run() -> None:
    async def send() -> Answer:
        return Answer(503, "", {}, {})

    run = Logins(cast(BankClient, None))
    assert (await run.definite("verify-otp", send, -math.inf)).status == 503
    assert sum(run.answers.values()) == 1
