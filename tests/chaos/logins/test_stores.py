"""Each step of a login while a store fails: a clear refusal, nothing half done, then it works."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

import pytest

from ops.waiting import until
from tests.chaos.logins.books import Books, Held
from tests.chaos.logins.outages import all_ready, paused, sealed, stopped
from tests.chaos.logins.steps import STEPS, Ready
from tests.rigs.running_bank import Answer, Bank

UNAVAILABLE = (503, "DEPENDENCY_UNAVAILABLE")
LATE = (504, "DEADLINE_EXCEEDED")
AGREE_WITHIN_S = 10
ENCRYPTED = ("login", "resend", "verify-totp", "face", "step-up", "change password", "reset")
"""The steps that decrypt a telephone number, a secret or a picture."""
SHORT = ("login", "resend", "logout", "step-up", "change password", "reset")
"""The steps whose deadline is at most ten seconds."""


@dataclass(frozen=True)
class Outage:
    """A store that fails, and what the callers see."""

    begin: Callable[[Bank], AbstractAsyncContextManager[None]]
    steps: Iterable[str]
    """The steps that this outage reaches; all others work."""
    refusal: tuple[int, str] = UNAVAILABLE
    others: bool = True
    """Whether the other steps are made too."""
    keeps_tries: bool = True
    """False if a try that auth reserved may have been counted after auth gave up."""


OUTAGES: Mapping[str, Outage] = {
    "PostgreSQL is stopped": Outage(lambda bank: stopped(bank, "postgres"), STEPS),
    "PostgreSQL hangs": Outage(lambda bank: paused(bank, "postgres"), SHORT, LATE, others=False),
    "Valkey is stopped": Outage(lambda bank: stopped(bank, "valkey"), STEPS),
    "Valkey hangs": Outage(lambda bank: paused(bank, "valkey"), STEPS, keeps_tries=False),
    "OpenBao is sealed": Outage(sealed, ENCRYPTED),
}


def assert_refused(answer: Answer, refusal: tuple[int, str]) -> None:
    """The answer is the documented error in JSON, advises a retry, and has no token."""
    assert (answer.status, answer.reason) == refusal, answer.text
    assert answer.headers["Content-Type"] == "application/json"
    assert int(answer.headers["Retry-After"]) > 0
    assert any("retryDelay" in detail for detail in answer.body["details"])
    assert "Token" not in answer.text


async def agreed(books: Books, ready: Ready) -> Held:
    """Wait until each open session has its family and each family its session; return them."""

    async def same() -> Held | None:
        held = await books.of(ready.app)
        return held if held.rows == held.families else None

    return await until(same, AGREE_WITHIN_S, "rows and families of sessions agree")


async def _prepared(bank: Bank, books: Books, names: Iterable[str]) -> dict[str, Ready]:
    made = await asyncio.gather(*(STEPS[name](bank, books) for name in names))
    return dict(zip(names, made, strict=True))


async def _answers(ready: Mapping[str, Ready]) -> dict[str, Answer]:
    given = await asyncio.gather(*(each.answer() for each in ready.values()))
    return dict(zip(ready, given, strict=True))


def _assert_repeated(name: str, answer: Answer) -> None:
    """A session that a first logout ended refuses the second one."""
    worked = answer.status == 200
    assert worked or (name == "logout" and answer.status == 401), (name, answer.text)


@pytest.mark.parametrize("name", OUTAGES)
async def test_each_step_is_refused_while_a_store_fails_and_works_afterwards(
    bank: Bank, books: Books, name: str
) -> None:
    outage = OUTAGES[name]
    ready = await _prepared(bank, books, [*STEPS] if outage.others else [*outage.steps])
    held = {step: await books.of(each.app) for step, each in ready.items()}
    counted = await books.tries()
    async with outage.begin(bank):
        answers = await _answers(ready)
    for step, answer in answers.items():
        if step in outage.steps:
            assert_refused(answer, outage.refusal)
        else:
            assert answer.status == 200, (step, answer.text)
    await all_ready(bank)
    if outage.keeps_tries:
        assert await books.added(counted) == {}
    for step in outage.steps:
        now = await agreed(books, ready[step])
        assert now.rows <= held[step].rows, (step, "a failed step left a session")
    repeated = await _answers({step: ready[step] for step in outage.steps})
    for step, answer in repeated.items():
        _assert_repeated(step, answer)
    for step, each in ready.items():
        await agreed(books, each)
        assert len(await each.app.texts()) == each.messages, (step, "too many text messages")
