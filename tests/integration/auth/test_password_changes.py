"""A change of a password: it loses against what the owner does while it runs."""

import asyncio
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, replace

import pytest
import pytest_asyncio

from ops.waiting import scaled_s
from sandbox.seed import people
from services.auth.errors import CurrentPasswordInvalid, PasswordUnsuitable
from services.auth.handlers import passwords, tokens
from services.auth.handlers.caller import Caller
from services.auth.password_pool import PasswordPool, QueueLimits
from services.auth.state import EndCause, Purpose
from services.auth.store import Ending, OperatorRequest, Store
from services.chassis.vault import Vault
from services.kernel.errors import BankError, Unauthenticated
from tests.integration.auth.conftest import User, log_in, new_device, origin
from tests.integration.auth.handling import COST, NEW, Handling, Stores, call_from, handling
from tests.rigs.stores import OpenBaoStore, PostgresStore, ValkeyStore

CODE, THIEFS = "123456", "nine green lanterns"


class GatedPool(PasswordPool):
    """A pool whose new hashes wait until the test opens the gate."""

    def __init__(self) -> None:
        super().__init__(COST, 1, QueueLimits(64, 60.0))
        self.reached, self.gate = asyncio.Event(), asyncio.Event()

    async def hash(self, prehashed: bytes, account: bytes) -> bytes:
        """Do the same as the service's pool, later."""
        self.reached.set()
        await self.gate.wait()
        return await super().hash(prehashed, account)


@dataclass
class Thief:
    """A caller with a stolen access token and the current password."""

    auth: Handling
    me: Caller

    @property
    def current(self) -> str:
        """The password that the owner has until the reset."""
        return people.password(self.auth.person.user_name)

    async def change(self, meanwhile: Callable[[], Awaitable[object]]) -> BankError | None:
        """Change the password; run `meanwhile` while the new one is hashed. Return the error."""
        pool = GatedPool()
        deps = replace(self.auth.deps, passwords=pool)
        change = asyncio.ensure_future(
            passwords.change_password(deps, self.me, self.current, THIEFS)
        )
        async with asyncio.timeout(scaled_s(60)):
            await pool.reached.wait()
        await meanwhile()
        pool.gate.set()
        answers = await asyncio.gather(change, return_exceptions=True)
        pool.close()
        if answers[0] is None:
            return None
        assert isinstance(answers[0], BankError), answers
        return answers[0]


@pytest_asyncio.fixture
async def thief(
    postgres: PostgresStore,
    valkey: ValkeyStore,
    openbao: OpenBaoStore,
    vault: Vault,
    store: Store,
) -> AsyncGenerator[Thief]:
    """Auth with one customer, who has a session that a thief uses; every partner is down."""
    async with handling(Stores(postgres, valkey, openbao, vault, store)) as built:
        call_from(uuid.uuid4())
        user, device = await built.user(), new_device()
        known = User(user.customer_id, user.email_index)
        session_id, _ = await log_in(store, known, device)
        yield Thief(built, Caller(user.customer_id, session_id, device.device_id))


async def _reset(thief: Thief) -> None:
    session_id = await thief.auth.forgot()
    await thief.auth.deps.codes.put(session_id, Purpose.RESET, CODE)
    await thief.auth.reset(session_id, CODE)


async def _end_by_operator(thief: Thief) -> None:
    customer_id = thief.me.customer_id
    request = OperatorRequest(uuid.uuid4(), "END_SESSIONS", customer_id, "eva (uid 1000)", "note")
    ending = Ending(customer_id, EndCause.OPERATOR, origin())
    await thief.auth.deps.store.answer_end_sessions(request, ending)


async def _revoke(thief: Thief) -> None:
    owner = replace(thief.me, session_id=uuid.uuid4())
    await tokens.revoke_session(thief.auth.deps, owner, thief.me.session_id)


async def _log_out(thief: Thief) -> None:
    await tokens.logout(thief.auth.deps, thief.me)


@pytest.mark.parametrize("end", [_reset, _end_by_operator, _revoke, _log_out])
async def test_a_change_whose_session_ends_meanwhile_changes_no_password(
    thief: Thief, end: Callable[[Thief], Awaitable[None]]
) -> None:
    seen: list[bytes] = []

    async def meanwhile() -> None:
        await end(thief)
        seen.append((await thief.auth.user()).password_hash)

    error = await thief.change(meanwhile)
    assert (await thief.auth.user()).password_hash == seen[0]
    assert isinstance(error, Unauthenticated)


async def test_of_two_parallel_changes_of_one_session_the_first_one_is_stored(
    thief: Thief,
) -> None:
    """The current password that the later call gave is no longer the current one."""
    first = passwords.change_password(thief.auth.deps, thief.me, thief.current, NEW)
    error = await thief.change(lambda: first)
    assert isinstance(error, CurrentPasswordInvalid)
    await passwords.change_password(thief.auth.deps, thief.me, NEW, THIEFS)


async def test_a_wrong_current_password_has_words_of_its_own(thief: Thief) -> None:
    change = passwords.change_password(thief.auth.deps, thief.me, "not this one", NEW)
    with pytest.raises(CurrentPasswordInvalid) as raised:
        await change
    assert (raised.value.reason, str(raised.value)) == (
        "CREDENTIALS_INVALID",
        "The current password is wrong. Check it and retry.",
    )


async def test_a_refused_new_password_leaves_the_current_one(thief: Thief) -> None:
    with pytest.raises(PasswordUnsuitable):
        await passwords.change_password(thief.auth.deps, thief.me, thief.current, "12345678")
    await passwords.change_password(thief.auth.deps, thief.me, thief.current, NEW)
