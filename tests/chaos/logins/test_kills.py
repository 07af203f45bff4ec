"""auth is killed between two steps of a login: no token of it works, and the customer logs in."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import asyncpg
import pytest

from ops.waiting import until
from sandbox.seed import people
from tests.chaos.logins.books import Books
from tests.chaos.logins.outages import close_breakers, killed, paused
from tests.chaos.logins.steps import STEPS, Ready
from tests.chaos.logins.test_stores import agreed
from tests.rigs.running_bank import Answer, Bank

pytestmark = pytest.mark.judged_with_its_module

HELD_WITHIN_S = 20
TOKEN = "POST /token"  # the endpoint of the provider
LIVENESS = "POST CreateFaceLivenessSession"
FACES = "POST CompareFaces"
_LOCK_USER = "SELECT FROM auth.users WHERE customer_id = $1 FOR UPDATE"

Holding = Callable[[Bank, Books, Ready], AbstractAsyncContextManager[Callable[[], Awaitable[bool]]]]
"""Holds a call at a moment; yields a question that is true when the call is there."""


async def _fired(bank: Bank, partner: str, fault: str) -> bool:
    answer = await bank.control(partner, "GET", f"/control/faults/{fault}")
    return answer.body["fired"] > 0


def _at_partner(partner: str, kind: str, endpoint: str) -> Holding:
    """Hold a call while a partner hangs, before it acts or after."""

    @asynccontextmanager
    async def holding(
        bank: Bank, _books: Books, _ready: Ready
    ) -> AsyncGenerator[Callable[[], Awaitable[bool]]]:
        fault = await bank.fault(partner, kind=kind, endpoint=endpoint)
        try:
            yield lambda: _fired(bank, partner, fault)
        finally:
            await bank.clear_faults(partner)

    return holding


@asynccontextmanager
async def _user_locked(bank: Bank, ready: Ready) -> AsyncGenerator[asyncpg.Connection]:
    """Lock the customer's row, so that auth cannot store a login."""
    connection = await bank.connect("bp_auth")
    try:
        await connection.execute("BEGIN")
        await connection.execute(_LOCK_USER, people.customer_id(ready.app.face))
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def _before_the_row(
    bank: Bank, books: Books, ready: Ready
) -> AsyncGenerator[Callable[[], Awaitable[bool]]]:
    """Hold a login whose family is stored and whose row is not."""

    async def family_without_row() -> bool:
        held = await books.of(ready.app)
        return bool(held.families - held.rows)

    async with _user_locked(bank, ready):
        yield family_without_row


@asynccontextmanager
async def _before_the_answer(
    bank: Bank, books: Books, ready: Ready
) -> AsyncGenerator[Callable[[], Awaitable[bool]]]:
    """Hold a login that is stored, while Valkey hangs before the login session is deleted."""
    before = (await books.of(ready.app)).rows
    async with AsyncExitStack() as stack:
        locked = await stack.enter_async_context(_user_locked(bank, ready))
        moved = False

        async def stored() -> bool:
            nonlocal moved
            if not moved:
                held = await books.of(ready.app)
                moved = bool(held.families - held.rows)
                if moved:
                    await stack.enter_async_context(paused(bank, "valkey"))
                    await locked.execute("COMMIT")
            return moved and await books.rows(ready.app) > before

        yield stored


@dataclass(frozen=True)
class Kill:
    """A moment at which auth is killed."""

    step: str
    holding: Holding
    sessions: int
    """How many sessions the customer has when the step began again and succeeded."""


KILLS: dict[str, Kill] = {
    "code and liveness": Kill("verify-otp", _at_partner("rekognition", "hang", LIVENESS), 1),
    "picture and match": Kill("face", _at_partner("rekognition", "hang", FACES), 1),
    "biometric and exchange": Kill("face", _at_partner("oauth", "hang", TOKEN), 1),
    "exchange and family": Kill("face", _at_partner("oauth", "accept_then_hang", TOKEN), 1),
    "family and row": Kill("face", _before_the_row, 1),
    # The answer is lost: the session is in the customer's list, and its tokens are nowhere.
    "row and answer": Kill("face", _before_the_answer, 2),
    "provider's refresh and Valkey": Kill(
        "refresh", _at_partner("oauth", "accept_then_hang", TOKEN), 1
    ),
}


async def _killed_at(bank: Bank, books: Books, ready: Ready, kill: Kill) -> Answer:
    """Send the step, and kill auth at the moment; return the answer of the gateway."""
    async with kill.holding(bank, books, ready) as is_there:
        sent = asyncio.create_task(ready.answer())
        await until(is_there, HELD_WITHIN_S, "the call is at the moment of the kill")
        pid = await asyncio.to_thread(bank.stack.kill, "auth")
    await asyncio.to_thread(bank.stack.wait_ready, "auth", not_pid=pid)
    await close_breakers(bank)
    return await sent


@pytest.mark.parametrize("moment", KILLS)
async def test_auth_is_killed_in_the_middle_of_a_step_and_the_customer_gets_in(
    bank: Bank, books: Books, moment: str
) -> None:
    kill = KILLS[moment]
    ready = await STEPS[kill.step](bank, books)
    answer = await _killed_at(bank, books, ready, kill)
    assert answer.status in (502, 503, 504), answer.text
    assert "Token" not in answer.text
    if kill.step == "refresh":
        await books.end_lease(ready.app.phone.refresh_token)
        again = await ready.answer()
    else:
        again = await ready.app.log_in()
    assert again.status == 200, again.text
    await books.end_waits_for_rows()
    held = await agreed(books, ready)
    assert len(held.rows) == kill.sessions
    assert (await ready.app.get("/v1/accounts")).status == 200


async def test_a_restart_of_auth_without_calls_in_flight_is_not_noticed(
    bank: Bank, books: Books
) -> None:
    """A login that began before the restart ends after it."""
    ready = await STEPS["face"](bank, books)
    await killed(bank, "auth")
    assert (await ready.answer()).status == 200
