"""Each step of a login while a store fails: a clear refusal, nothing half done, then it works."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import pytest

from ops.waiting import until
from tests.chaos.logins.books import Books, Held
from tests.chaos.logins.outages import all_ready, fails_in_background, paused, sealed, stopped
from tests.chaos.logins.steps import STEPS, Ready, answers_of, prepared
from tests.rigs.running_bank import Answer, Bank

pytestmark = pytest.mark.judged_with_its_module

UNAVAILABLE = (503, "DEPENDENCY_UNAVAILABLE")
LATE = (504, "DEADLINE_EXCEEDED")
AGREE_WITHIN_S = 10
MOMENT_S = 0.4
"""Shorter than each timeout of a store; the shortest is Valkey's second."""
ENCRYPTED = (
    "login",
    "resend",
    "verify-totp",
    "face",
    "step-up",
    "change password",
    "reset",
    "app and key",
)
"""The steps that decrypt a telephone number, a secret or a picture."""


@dataclass(frozen=True)
class Outage:
    """A fault of a store, and what the callers see."""

    begin: Callable[[Bank], AbstractAsyncContextManager[None]]
    steps: Iterable[str]
    """The steps that this outage reaches; all others work."""
    refusals: tuple[tuple[int, str], ...] = (UNAVAILABLE,)
    keeps_tries: bool = True
    """False if a try that auth reserved may have been counted after auth gave up."""


@asynccontextmanager
async def _hanging_vault(bank: Bank) -> AsyncGenerator[None]:
    async with paused(bank, "openbao"), fails_in_background(bank):
        yield


@asynccontextmanager
async def _stopped_vault(bank: Bank) -> AsyncGenerator[None]:
    async with stopped(bank, "openbao"), fails_in_background(bank):
        yield


@asynccontextmanager
async def _sealed_vault(bank: Bank) -> AsyncGenerator[None]:
    async with sealed(bank), fails_in_background(bank):
        yield


# Each store fails in all its ways before a step is repeated, so the steps outlive all of them.
OUTAGES: Mapping[str, Mapping[str, Outage]] = {
    "PostgreSQL": {
        "is stopped": Outage(lambda bank: stopped(bank, "postgres"), STEPS),
        "hangs": Outage(lambda bank: paused(bank, "postgres"), STEPS, (LATE,)),
    },
    "Valkey": {
        "is stopped": Outage(lambda bank: stopped(bank, "valkey"), STEPS),
        "hangs": Outage(lambda bank: paused(bank, "valkey"), STEPS, keeps_tries=False),
    },
    "OpenBao": {
        "is sealed": Outage(_sealed_vault, ENCRYPTED),
        "is stopped": Outage(_stopped_vault, ENCRYPTED),
        "hangs": Outage(_hanging_vault, ENCRYPTED),
    },
}


def assert_refused(answer: Answer, *refusals: tuple[int, str]) -> None:
    """The answer is a documented error in JSON, advises a retry, and has no token."""
    assert (answer.status, answer.reason) in refusals, answer.text
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


async def no_try_added(books: Books, counted: dict[str, int]) -> None:
    """Wait until auth has given back each try that it reserved."""

    async def same() -> bool:
        return not await books.added(counted)

    await until(same, AGREE_WITHIN_S, "no try is counted")


async def _refused(
    bank: Bank, books: Books, ready: Iterable[Ready], outage: Outage
) -> tuple[list[Ready], list[Ready]]:
    """Make steps during an outage; return those that it refused, and those that worked."""
    held = {each.step: await books.of(each.app) for each in ready}
    counted = await books.tries()
    async with outage.begin(bank):
        answers = await answers_of(ready)
    refused: list[Ready] = []
    for each, answer in answers:
        if each.step in outage.steps:
            assert_refused(answer, *outage.refusals)
            refused.append(each)
        else:
            assert answer.status == 200, (each.step, answer.text)
    await all_ready(bank)
    if outage.keeps_tries:
        await no_try_added(books, counted)
    for each in refused:
        now = await agreed(books, each)
        assert now.rows <= held[each.step].rows, (each.step, "a failed step left a session")
    return refused, [each for each, _ in answers if each not in refused]


@pytest.mark.parametrize("store", OUTAGES)
async def test_each_step_is_refused_while_a_store_fails_and_works_afterwards(
    bank: Bank, books: Books, store: str
) -> None:
    refused: list[Ready] = []
    for outage in OUTAGES[store].values():
        # A logout that was refused may have ended the session already.
        kept = [each for each in refused if each.step != "logout"]
        steps = {*STEPS} - {each.step for each in kept}
        new = await prepared(bank, books, sorted(steps))
        refused, worked = await _refused(bank, books, [*kept, *new], outage)
        for each in worked:
            await agreed(books, each)
            # Without OpenBao, a reset is answered, and its message cannot be sent.
            await each.has_texts(0 if each.step == "forgot" else each.messages)
    for each, answer in await answers_of(refused):
        _assert_repeated(each.step, answer)
        await agreed(books, each)
        await each.has_texts(each.messages)


def _assert_repeated(step: str, answer: Answer) -> None:
    """A session that a first logout ended refuses the second one."""
    worked = answer.status == 200
    assert worked or (step == "logout" and answer.status == 401), (step, answer.text)


async def test_each_step_works_while_all_stores_stop_for_a_moment(bank: Bank, books: Books) -> None:
    ready = await prepared(bank, books, STEPS)
    async with AsyncExitStack() as stack:
        for store in ("openbao", "postgres", "valkey"):
            await stack.enter_async_context(paused(bank, store))
        answering = asyncio.create_task(answers_of(ready))
        await asyncio.sleep(MOMENT_S)
    for each, answer in await answering:
        assert answer.status == 200, (each.step, answer.text)
        await agreed(books, each)
        await each.has_texts(each.messages)
