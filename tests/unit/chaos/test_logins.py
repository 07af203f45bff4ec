"""A new customer of a chaos run while the databases stop: no defect of the run."""

from typing import cast

import asyncpg
import pytest

from lab.chaos.logins import Logins
from sandbox.client import BankClient


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
