"""Auth carries out what operators request with `bpctl auth`, once, and names them in the events."""

import asyncio
import uuid
from collections.abc import AsyncGenerator
from dataclasses import dataclass

import asyncpg
import pytest
import pytest_asyncio
from bp.auth.v1.auth_events_pb2 import AuthEvent
from structlog.testing import capture_logs

from services.auth.counters import Tries
from services.auth.errors import TriesExhausted
from services.auth.operator_requests import OperatorRequests
from services.auth.state import EndCause, Factor
from services.auth.store import Ending, Store
from services.auth.throttle import RULES, Scope, Subject
from tests.integration.auth.conftest import User, log_in, new_device, origin
from tests.integration.auth.logins import CODE_KEY, Logins, opened
from tests.rigs.stores import PostgresStore, ValkeyStore

EVE, NOTE = "eva (uid 1000)", "the customer called from the stored number"
REQUEST = "SELECT auth.request_by_operator($1, $2, $3, $4, $5)"
ANSWER = "SELECT auth.answer_to_operator($1)"


@dataclass(frozen=True)
class Rig:
    """An operator, and the processes that carry requests out."""

    operator: asyncpg.Connection
    logins: Logins
    tries: Tries
    requests: OperatorRequests

    async def request(self, kind: str, customer_id: uuid.UUID) -> uuid.UUID | None:
        """Record a request, as bpctl does; None if it was refused."""
        request_id = uuid.uuid4()
        made = await self.operator.fetchval(REQUEST, request_id, kind, customer_id, EVE, NOTE)
        return request_id if made else None

    async def answer(self, request_id: uuid.UUID | None) -> int | None:
        """Read how many counters or sessions ended, as bpctl does."""
        return await self.operator.fetchval(ANSWER, request_id)


@pytest_asyncio.fixture
async def rig(postgres: PostgresStore, valkey: ValkeyStore, store: Store) -> AsyncGenerator[Rig]:
    """The operator's own login, and auth's stores."""
    operator = await postgres.session("bp_operator", "bp_auth")
    async with opened(valkey) as logins:
        tries = Tries(logins.client, CODE_KEY)
        requests = OperatorRequests(store, tries, logins.families, logins.revocations)
        yield Rig(operator, logins, tries, requests)
    await operator.close()


async def _events(pool: asyncpg.Pool, customer_id: uuid.UUID) -> list[AuthEvent]:
    sql = "SELECT payload FROM auth.event WHERE key = $1 ORDER BY id"
    return [AuthEvent.FromString(row["payload"]) for row in await pool.fetch(sql, customer_id)]


async def _locked(rig: Rig, subject: Subject) -> None:
    """Try wrong passwords until the subject is locked."""
    scope = Scope.DEVICE if subject.device_id else Scope.STRANGERS
    for _ in range(RULES[scope].free):
        await rig.tries.admit(subject, Factor.PASSWORD)
        await rig.tries.wrong(subject, Factor.PASSWORD)
    with pytest.raises(TriesExhausted):
        await rig.tries.admit(subject, Factor.PASSWORD)


async def test_an_unlocked_customer_gets_tries_again_on_every_device(
    rig: Rig, store: Store, user: User, pool: asyncpg.Pool
) -> None:
    device = new_device()
    await log_in(store, user, device)
    owner = Subject(user.email_index, device.device_id, "192.0.2.1")
    stranger = Subject(user.email_index, None, "192.0.2.2")
    for subject in (owner, stranger):
        await _locked(rig, subject)
    request_id = await rig.request("UNLOCK", user.customer_id)
    assert await rig.answer(request_id) is None
    # Two processes find the same request.
    await asyncio.gather(rig.requests.carry_out(), rig.requests.carry_out())
    for subject in (owner, stranger):
        await rig.tries.admit(subject, Factor.PASSWORD)
    assert await rig.answer(request_id) in (0, 1, 2)
    (event,) = [each for each in await _events(pool, user.customer_id) if each.login_unlocked.by]
    unlocked = event.login_unlocked
    assert (unlocked.by, unlocked.os_user, unlocked.note) == ("OPERATOR", EVE, NOTE)
    assert event.metadata.correlation_id == str(request_id)


async def test_the_answer_says_how_many_counters_were_reset(rig: Rig, user: User) -> None:
    await _locked(rig, Subject(user.email_index, None, ""))
    request_id = await rig.request("UNLOCK", user.customer_id)
    assert await rig.requests.carry_out() == 1
    assert await rig.answer(request_id) == 1
    assert await rig.requests.carry_out() == 0


async def test_all_sessions_of_a_customer_end_with_the_operator_in_each_event(
    rig: Rig, store: Store, user: User, pool: asyncpg.Pool
) -> None:
    sessions = [(await log_in(store, user))[0] for _ in range(3)]
    request_id = await rig.request("END_SESSIONS", user.customer_id)
    with capture_logs() as logs:
        await asyncio.gather(rig.requests.carry_out(), rig.requests.carry_out())
    assert await rig.answer(request_id) == 3
    carried_out = [line for line in logs if line.get("request_id") == str(request_id)]
    assert [line["ended"] for line in carried_out] == [3]
    revoked = [event.session_revoked for event in await _events(pool, user.customer_id)]
    assert {each.session_id for each in revoked} == set(map(str, sessions))
    assert {(each.cause, each.os_user, each.note) for each in revoked} == {("OPERATOR", EVE, NOTE)}
    matters = [await rig.logins.client.zscore("revoked", str(each)) for each in sessions]
    assert None not in matters


async def test_a_request_that_another_process_carried_out_ends_no_later_session(
    rig: Rig, store: Store, user: User
) -> None:
    """A process reads a batch, and reaches the request after the customer has logged in again."""
    await log_in(store, user)
    request_id = await rig.request("END_SESSIONS", user.customer_id)
    (seen,) = [one for one in await store.operator_requests(100) if one.request_id == request_id]
    await rig.requests.carry_out()
    fresh, _ = await log_in(store, user)
    ending = Ending(user.customer_id, EndCause.OPERATOR, origin())
    assert await store.answer_end_sessions(seen, ending) is None
    assert await store.open_sessions([fresh]) == {fresh}
    assert await rig.answer(request_id) == 1


async def test_a_request_for_a_customer_without_a_login_is_refused(rig: Rig) -> None:
    assert await rig.request("UNLOCK", uuid.uuid4()) is None
    assert await rig.requests.carry_out() == 0


@pytest.mark.parametrize(
    ("kind", "os_user", "note"),
    [
        ("DELETE", EVE, NOTE),
        ("UNLOCK", "", NOTE),
        ("UNLOCK", "eva\n", NOTE),
        ("UNLOCK", "e" * 129, NOTE),
        ("UNLOCK", EVE, " "),
        ("UNLOCK", EVE, "n" * 2001),
    ],
)
async def test_a_request_that_the_record_cannot_hold_is_refused(
    rig: Rig, user: User, kind: str, os_user: str, note: str
) -> None:
    with pytest.raises(asyncpg.CheckViolationError):
        await rig.operator.execute(REQUEST, uuid.uuid4(), kind, user.customer_id, os_user, note)


async def test_old_requests_are_deleted(rig: Rig, user: User, superuser: asyncpg.Pool) -> None:
    old = await rig.request("UNLOCK", user.customer_id)
    fresh = await rig.request("UNLOCK", user.customer_id)
    await rig.requests.carry_out()
    await superuser.execute(
        "UPDATE auth.operator_request SET answer_time = now() - interval '61 days'"
        " WHERE request_id = $1",
        old,
    )
    await superuser.execute("SELECT auth.delete_old(100)")
    rows = await superuser.fetch(
        "SELECT request_id FROM auth.operator_request WHERE customer_id = $1", user.customer_id
    )
    assert [row["request_id"] for row in rows] == [fresh]
