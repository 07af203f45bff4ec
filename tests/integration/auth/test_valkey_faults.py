"""Valkey is killed, loses its last second or is gone: nothing is doubled, no wrong success.

A kill loses nothing that is in the server's file. On a slow disk, the server answers up to two
seconds before it writes there. A crash of the machine also loses what was not synchronised; these
tests put an earlier copy of the data back.
"""

import shutil
import signal
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import pytest_asyncio
from redis.exceptions import RedisError

from ops.provision.valkey import OPERATOR
from services.auth.charges import Recipient
from services.auth.codes import Verdict
from services.auth.counters import Sends, Tries
from services.auth.errors import LoginSessionInvalid
from services.auth.handlers.factors import digest_of
from services.auth.login_sessions import advanced
from services.auth.refresh import Invalid, Replay, Reused, Rotate, token_digest
from services.auth.state import Factor, LoginSession, Progress, Purpose
from services.auth.throttle import Subject
from services.chassis.unreachable import is_unreachable
from tests.integration.auth.logins import (
    SETTINGS,
    Logins,
    customer_session,
    expire,
    login_session,
    logins_of,
    new_pair,
    new_token,
)
from tests.rigs.stores import ValkeyStore, all_in_file, valkey_store

CODE = "123456"
KEY = bytes(32)
STRANGER = Subject(KEY, None, "192.0.2.1")
RECIPIENT = Recipient(KEY, KEY, Purpose.LOGIN)


@dataclass
class Machine:
    """A Valkey that can crash, with auth's adapters."""

    store: ValkeyStore
    logins: Logins
    folder: Path

    async def kill(self) -> None:
        """Kill the server once its file has all that was written, and start it again at once."""
        operator = self.store.client(OPERATOR)
        try:
            await all_in_file(operator)
        finally:
            await operator.aclose()
        assert self.store.runner.kill(signal.SIGKILL) is not None
        await self.stop()
        await self.start()

    async def stop(self) -> None:
        """Stop the server."""
        await self.store.runner.stop()

    async def start(self) -> None:
        """Start the server again."""
        await self.store.runner.start()
        assert await self.store.runner.wait_ready()

    async def remember(self) -> None:
        """Copy the data as it is now."""
        await self.stop()
        shutil.rmtree(self._copy, ignore_errors=True)
        shutil.copytree(self._data, self._copy)
        await self.start()

    async def lose(self) -> None:
        """Crash, and lose everything since `remember`."""
        await self.stop()
        shutil.rmtree(self._data)
        shutil.copytree(self._copy, self._data)
        await self.start()

    @property
    def _data(self) -> Path:
        return self.store.part.home.data / "valkey"

    @property
    def _copy(self) -> Path:
        return self.folder / "copy"


@pytest_asyncio.fixture(scope="module")
async def machine(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Machine]:
    """A Valkey of this module's own."""
    folder = tmp_path_factory.mktemp("faults")
    async with valkey_store(folder / "home") as store:
        client = store.client("auth")
        try:
            yield Machine(store, logins_of(client), folder)
        finally:
            await client.aclose()


async def test_a_login_continues_when_valkey_is_killed_between_all_its_steps(
    machine: Machine,
) -> None:
    """Each step is there after the restart, and each is still done once."""
    logins, session = machine.logins, login_session()
    session_id = await logins.sessions.begin(session)
    await machine.kill()
    await logins.codes.put(session_id, Purpose.LOGIN, CODE)
    await machine.kill()
    assert await logins.codes.check(session_id, Purpose.LOGIN, "000000") is Verdict.WRONG
    await machine.kill()
    assert await logins.codes.check(session_id, Purpose.LOGIN, CODE) is Verdict.RIGHT
    for progress in (Progress.OTP_RIGHT, Progress.BIOMETRIC_RIGHT, Progress.TOKENS_FETCHED):
        session = await moved(logins, session_id, session, progress)
        await machine.kill()
        assert await logins.codes.check(session_id, Purpose.LOGIN, CODE) is Verdict.SPENT
    with pytest.raises(LoginSessionInvalid):
        await logins.sessions.read(session_id)


async def moved(
    logins: Logins, session_id: str, before: LoginSession, progress: Progress
) -> LoginSession:
    """Move a session, and check that it cannot move twice."""
    after = advanced(before, progress)
    await logins.sessions.advance(session_id, before, after)
    with pytest.raises(LoginSessionInvalid):
        await logins.sessions.advance(session_id, before, after)
    return after


async def test_a_family_continues_when_valkey_is_killed_between_all_its_steps(
    machine: Machine,
) -> None:
    """One successor, the same grace, the same reuse."""
    families = machine.logins.families
    session, device, token = customer_session(), new_token(), new_token()
    await families.create(session, digest_of(device), token)
    await machine.kill()
    begun = await families.begin(token, digest_of(device))
    assert isinstance(begun, Rotate)
    await machine.kill()
    pair = new_pair()
    assert await families.finish(begun, pair) == pair
    await machine.kill()
    assert await families.begin(token, digest_of(device)) == Replay(begun.family, pair)
    assert await families.finish(begun, new_pair()) == pair
    await machine.logins.revocations.revoke([session.session_id])
    await families.end([session.session_id])
    await machine.kill()
    assert await families.begin(pair.refresh_token, digest_of(device)) == Invalid()
    assert await machine.logins.revocations.missing([session.session_id]) == []


async def test_a_reuse_is_not_forgotten_by_a_kill(machine: Machine) -> None:
    """The owner's session stays ended."""
    families = machine.logins.families
    session, device, token = customer_session(), new_token(), new_token()
    await families.create(session, digest_of(device), token)
    begun = await families.begin(token, digest_of(device))
    assert isinstance(begun, Rotate)
    pair = await families.finish(begun, new_pair())
    await expire(machine.logins.client, f"refresh:{token_digest(token)}:successor")
    assert await families.begin(token, digest_of(device)) == Reused(begun.family)
    await machine.kill()
    assert await families.begin(pair.refresh_token, digest_of(device)) == Reused(begun.family)


async def test_a_lost_login_session_is_invalid(machine: Machine) -> None:
    """The customer logs in again."""
    await machine.remember()
    logins, session = machine.logins, login_session()
    session_id = await logins.sessions.begin(session)
    await logins.codes.put(session_id, Purpose.LOGIN, CODE)
    await machine.lose()
    with pytest.raises(LoginSessionInvalid):
        await logins.sessions.read(session_id)
    with pytest.raises(LoginSessionInvalid):
        await logins.codes.put(session_id, Purpose.LOGIN, CODE)
    assert await logins.codes.check(session_id, Purpose.LOGIN, CODE) is Verdict.SPENT
    with pytest.raises(LoginSessionInvalid):
        await logins.sessions.advance(session_id, session, advanced(session, Progress.OTP_RIGHT))


async def test_a_lost_step_can_be_made_again_once(machine: Machine) -> None:
    """The session is where it was, and a call that knows the lost step is refused."""
    logins, session = machine.logins, login_session()
    session_id = await logins.sessions.begin(session)
    await logins.codes.put(session_id, Purpose.LOGIN, CODE)
    await machine.remember()
    assert await logins.codes.check(session_id, Purpose.LOGIN, CODE) is Verdict.RIGHT
    after = await moved(logins, session_id, session, Progress.OTP_RIGHT)
    await machine.lose()
    with pytest.raises(LoginSessionInvalid):
        await logins.sessions.advance(session_id, after, replace(after, sends=1))
    assert await logins.sessions.read(session_id) == session
    assert await logins.codes.check(session_id, Purpose.LOGIN, CODE) is Verdict.RIGHT
    await moved(logins, session_id, session, Progress.OTP_RIGHT)
    assert await logins.codes.check(session_id, Purpose.LOGIN, CODE) is Verdict.SPENT


async def test_a_lost_refresh_leaves_the_old_token_current(machine: Machine) -> None:
    """The new token is invalid, and the family still has one current token."""
    families = machine.logins.families
    session, device, token = customer_session(), new_token(), new_token()
    await families.create(session, digest_of(device), token)
    await machine.remember()
    begun = await families.begin(token, digest_of(device))
    assert isinstance(begun, Rotate)
    lost = await families.finish(begun, new_pair())
    await machine.lose()
    assert await families.begin(lost.refresh_token, digest_of(device)) == Invalid()
    again = await families.begin(token, digest_of(device))
    assert isinstance(again, Rotate)
    pair = new_pair()
    assert await families.finish(again, pair) == pair
    assert await families.begin(lost.refresh_token, digest_of(device)) == Invalid()


async def test_a_lost_login_has_no_refresh_token(machine: Machine) -> None:
    """The customer logs in again."""
    await machine.remember()
    session, device, token = customer_session(), new_token(), new_token()
    await machine.logins.families.create(session, digest_of(device), token)
    await machine.lose()
    assert await machine.logins.families.begin(token, digest_of(device)) == Invalid()


async def test_a_lost_end_of_a_session_is_found_and_repeated(machine: Machine) -> None:
    """The database knows the end: reconciling returns the session, whose family ends again."""
    families, revocations = machine.logins.families, machine.logins.revocations
    session, device, token = customer_session(), new_token(), new_token()
    await families.create(session, digest_of(device), token)
    await machine.remember()
    await families.end([session.session_id])
    await revocations.revoke([session.session_id])
    await machine.lose()
    assert await revocations.missing([session.session_id]) == [session.session_id]
    assert await revocations.reconcile([session.session_id]) == [session.session_id]
    await families.end([session.session_id])
    assert await families.begin(token, digest_of(device)) == Invalid()


Call = Callable[[Logins], Awaitable[object]]
CALLS: dict[str, Call] = {
    "begin": lambda logins: logins.sessions.begin(login_session()),
    "read": lambda logins: logins.sessions.read("x"),
    "give back": lambda logins: logins.sessions.give_back("x", b"owner"),
    "put": lambda logins: logins.codes.put("x", Purpose.LOGIN, CODE),
    "check": lambda logins: logins.codes.check("x", Purpose.LOGIN, CODE),
    "create": lambda logins: logins.families.create(customer_session(), digest_of("x"), "y"),
    "refresh": lambda logins: logins.families.begin("x", digest_of("y")),
    "end family": lambda logins: logins.families.end([customer_session().session_id]),
    "admit a try": lambda logins: Tries(logins.client, KEY).admit(STRANGER, Factor.PASSWORD),
    "wrong try": lambda logins: Tries(logins.client, KEY).wrong(STRANGER, Factor.PASSWORD),
    "admit a message": lambda logins: Sends(logins.client, SETTINGS).admit(RECIPIENT),
    "revoke": lambda logins: logins.revocations.revoke([customer_session().session_id]),
}
"""Each call of auth to Valkey."""


async def test_every_call_says_that_valkey_is_unreachable(machine: Machine) -> None:
    """None of them waits for long, and none answers as if a session or a token were wrong."""
    await machine.stop()
    try:
        for name, call in CALLS.items():
            with pytest.raises((RedisError, OSError)) as raised:
                await call(machine.logins)
            assert is_unreachable(raised.value), name
    finally:
        await machine.start()


async def test_a_refresh_that_loses_valkey_keeps_its_token(machine: Machine) -> None:
    """The call fails; the app repeats it with the same token."""
    families = machine.logins.families
    session, device, token = customer_session(), new_token(), new_token()
    await families.create(session, digest_of(device), token)
    begun = await families.begin(token, digest_of(device))
    assert isinstance(begun, Rotate)
    await machine.stop()
    try:
        with pytest.raises((RedisError, OSError)) as raised:
            await families.finish(begun, new_pair())
        assert is_unreachable(raised.value)
    finally:
        await machine.start()
    pair = new_pair()
    assert await families.finish(begun, pair) == pair
