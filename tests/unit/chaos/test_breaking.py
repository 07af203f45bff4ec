"""A fault whose partner is unreachable raises an error that has the cause."""

from typing import Any, cast

import aiohttp
import pytest

from lab.chaos import breaking
from lab.chaos.breaking import Breaker
from lab.chaos.load import Load
from lab.chaos.schedule import CLEARING_HOUSE, Fault, Kind
from sandbox.client import Answer, BankClient


class OutOfReach:
    """A bank whose partners fail each call, with the given failures in order."""

    def __init__(self, failures: list[Exception]) -> None:
        self.failures = failures

    async def control(self, *_: Any) -> Answer:
        """Raise the next failure. The last failure repeats."""
        raise self.failures.pop(0) if len(self.failures) > 1 else self.failures[0]


async def test_a_partner_that_never_answers_is_named_with_its_last_failure_as_the_cause(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(breaking, "REACHED_WITHIN_S", 0.1)
    last = ConnectionRefusedError("no listener")
    bank = OutOfReach([aiohttp.ServerDisconnectedError(), last])
    breaker = Breaker(cast("BankClient", bank), cast("Load", None))
    with pytest.raises(TimeoutError, match="ach's control API answers") as raised:
        await breaker.inject(Fault(0, 0, Kind.RESET, CLEARING_HOUSE))
    assert raised.value.__cause__ is last
