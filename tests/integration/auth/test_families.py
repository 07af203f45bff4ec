"""The families of refresh tokens in Valkey: one successor, grace, reuse, devices, races."""

import asyncio
import time
import uuid
from collections import Counter
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
import pytest_asyncio
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from services.auth import families as families_module
from services.auth.errors import RefreshTokenInvalid
from services.auth.refresh import Begun, Family, Invalid, Replay, Reused, Rotate, token_digest
from services.auth.state import Session, TokenPair
from services.kernel.errors import DependencyUnavailable
from tests.integration.auth.logins import (
    LIFE,
    SETTINGS,
    Logins,
    customer_session,
    dump_of,
    expire,
    keys_of,
    logins_of,
    new_pair,
    new_token,
    opened,
)
from tests.rigs.stores import ValkeyStore


@dataclass
class App:
    """What an app of a logged-in customer holds."""

    logins: Logins
    session: Session = field(default_factory=customer_session)
    device_token: str = field(default_factory=new_token)
    token: str = field(default_factory=new_token)
    """The first refresh token."""

    @property
    def family(self) -> Family:
        """Whose tokens they are."""
        return Family(self.session.session_id, self.session.customer_id, self.session.device_id)

    async def log_in(self) -> "App":
        """Store the first token."""
        await self.logins.families.create(self.session, self.device_token, self.token)
        return self

    async def begin(self, token: str, device_token: str | None = None) -> Begun:
        """Present a token."""
        return await self.logins.families.begin(token, device_token or self.device_token)

    async def leased(self, token: str) -> Rotate:
        """Present the current token."""
        begun = await self.begin(token)
        assert isinstance(begun, Rotate)
        assert begun.family == self.family
        return begun

    async def refresh(self, token: str) -> TokenPair:
        """Present the current token and replace it."""
        pair = new_pair()
        assert await self.logins.families.finish(await self.leased(token), pair) == pair
        return pair

    async def end_grace(self, token: str) -> None:
        """Let 30 seconds pass for a replaced token."""
        await expire(self.logins.client, f"refresh:{token_digest(token)}:successor")


@pytest_asyncio.fixture
async def logins(valkey: ValkeyStore) -> AsyncGenerator[Logins]:
    """Auth's adapters over a client of its own."""
    async with opened(valkey) as logins:
        yield logins


@pytest_asyncio.fixture
async def app(logins: Logins) -> App:
    """An app whose customer has logged in."""
    return await App(logins).log_in()


async def test_each_token_is_replaced_by_the_next(app: App) -> None:
    """Three refreshes in a row."""
    token = app.token
    for _ in range(3):
        token = (await app.refresh(token)).refresh_token


async def test_an_unknown_token_is_invalid(app: App) -> None:
    """Whatever its form."""
    for token in ("", "x", "*", "ñ", new_token(), token_digest(app.token)):
        assert await app.begin(token) == Invalid()


async def test_a_phone_that_lost_the_answer_gets_the_same_tokens(app: App) -> None:
    """As often as it asks within the grace, and its next token works."""
    pair = await app.refresh(app.token)
    for _ in range(3):
        assert await app.begin(app.token) == Replay(app.family, pair)
    second = await app.refresh(pair.refresh_token)
    assert await app.begin(app.token) == Replay(app.family, pair)
    assert await app.begin(pair.refresh_token) == Replay(app.family, second)


async def test_the_grace_is_30_seconds(app: App) -> None:
    """Valkey's clock ends it."""
    await app.refresh(app.token)
    left_ms = await app.logins.client.pttl(f"refresh:{token_digest(app.token)}:successor")
    assert 0 < left_ms <= SETTINGS.refresh_grace_s * 1000


async def test_a_reused_token_ends_the_family(app: App) -> None:
    """Neither party has a usable token; until the caller ended the session, each gets REUSED."""
    pair = await app.refresh(app.token)
    await app.end_grace(app.token)
    assert await app.begin(app.token) == Reused(app.family)
    assert await app.begin(pair.refresh_token) == Reused(app.family)
    assert await app.begin(app.token) == Reused(app.family)
    await app.logins.families.end([app.session.session_id])
    assert await app.begin(app.token) == Invalid()
    assert await app.begin(pair.refresh_token) == Invalid()


async def test_a_family_that_ended_by_reuse_still_expires(app: App) -> None:
    """The mark has the expiry of the family."""
    await app.refresh(app.token)
    await app.end_grace(app.token)
    await app.begin(app.token)
    assert await app.logins.client.pttl(f"family:{app.session.session_id}") > 0


async def test_a_token_with_another_device_is_invalid_and_changes_nothing(app: App) -> None:
    """A thief of the refresh token alone gets nothing, and cannot end the owner's session."""
    pair = await app.refresh(app.token)
    stranger = await App(app.logins).log_in()
    for device_token in (new_token(), stranger.device_token, token_digest(app.device_token)):
        for token in (app.token, pair.refresh_token):
            assert await app.begin(token, device_token) == Invalid(wrong_device=True)
    await app.end_grace(app.token)
    assert await app.begin(app.token, new_token()) == Invalid(wrong_device=True)
    await app.refresh(pair.refresh_token)


async def test_a_thief_with_the_whole_phone_is_noticed_by_the_next_refresh(app: App) -> None:
    """Thief and owner both hold token and device token: one of them is second."""
    await app.refresh(app.token)
    await app.end_grace(app.token)
    assert isinstance(await app.begin(app.token), Reused)


@pytest.mark.parametrize("parallel", [2, 20])
async def test_parallel_refreshes_ask_the_provider_once(app: App, parallel: int) -> None:
    """All get the same tokens."""
    asked = 0

    async def refresh() -> TokenPair:
        nonlocal asked
        begun = await app.begin(app.token)
        if isinstance(begun, Replay):
            return begun.pair
        assert isinstance(begun, Rotate)
        asked += 1
        await asyncio.sleep(0.1)
        return await app.logins.families.finish(begun, new_pair())

    pairs = await asyncio.gather(*(refresh() for _ in range(parallel)))
    assert asked == 1
    assert len({pair.refresh_token for pair in pairs}) == 1
    assert await app.refresh(pairs[0].refresh_token)


async def test_a_refresh_that_was_given_up_is_made_by_the_next(app: App) -> None:
    """The provider failed: the token stays current, and the waiting call takes over."""
    begun = await app.leased(app.token)
    waiting = asyncio.create_task(app.leased(app.token))
    await app.logins.families.abandon(begun)
    other = await waiting
    assert other.owner != begun.owner
    await app.logins.families.abandon(begun)
    pair = new_pair()
    assert await app.logins.families.finish(other, pair) == pair


async def test_an_abandoned_lease_of_another_owner_is_not_given_back(app: App) -> None:
    """A slow call cannot give back the lease of its follower."""
    slow = await app.leased(app.token)
    lease = f"refresh:{token_digest(app.token)}:lease"
    await expire(app.logins.client, lease)
    follower = await app.leased(app.token)
    await app.logins.families.abandon(slow)
    assert await app.logins.client.get(lease) == follower.owner.encode()


async def test_a_killed_process_holds_the_lease_for_a_limited_time(app: App) -> None:
    """25 seconds, longer than the deadline of its call."""
    await app.leased(app.token)
    lease = f"refresh:{token_digest(app.token)}:lease"
    assert 0 < await app.logins.client.pttl(lease) <= families_module.LEASE_MS
    await expire(app.logins.client, lease)
    await app.refresh(app.token)


async def test_a_call_that_waits_in_vain_says_so(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller may retry; nothing was lost."""
    monkeypatch.setattr(families_module, "WAIT_S_MAX", 0.1)
    await app.leased(app.token)
    with pytest.raises(DependencyUnavailable):
        await app.begin(app.token)


async def test_the_call_that_lost_its_lease_returns_the_tokens_that_won(app: App) -> None:
    """Both callers asked the provider, but the app gets one successor."""
    slow = await app.leased(app.token)
    await expire(app.logins.client, f"refresh:{token_digest(app.token)}:lease")
    pair = await app.refresh(app.token)
    assert await app.logins.families.finish(slow, new_pair()) == pair
    assert await app.begin(app.token) == Replay(app.family, pair)


async def test_a_slow_call_whose_lease_nobody_took_still_finishes(app: App) -> None:
    """Its token is still current."""
    slow = await app.leased(app.token)
    await expire(app.logins.client, f"refresh:{token_digest(app.token)}:lease")
    pair = new_pair()
    assert await app.logins.families.finish(slow, pair) == pair


async def test_a_call_that_is_slower_than_the_grace_ends_no_family(app: App) -> None:
    """The server was slow; the app reused nothing."""
    slow = await app.leased(app.token)
    await expire(app.logins.client, f"refresh:{token_digest(app.token)}:lease")
    pair = await app.refresh(app.token)
    await app.end_grace(app.token)
    with pytest.raises(RefreshTokenInvalid):
        await app.logins.families.finish(slow, new_pair())
    await app.refresh(pair.refresh_token)


async def test_a_session_that_ends_during_a_refresh_gets_no_tokens(app: App) -> None:
    """A log-out on another device wins, and the late call leaves no key."""
    begun = await app.leased(app.token)
    await app.logins.families.end([app.session.session_id])
    pair = new_pair()
    with pytest.raises(RefreshTokenInvalid):
        await app.logins.families.finish(begun, pair)
    assert await app.begin(pair.refresh_token) == Invalid()


async def test_a_reuse_during_a_refresh_gives_no_tokens(app: App) -> None:
    """The family has ended before the slow call finishes."""
    pair = await app.refresh(app.token)
    begun = await app.leased(pair.refresh_token)
    await app.end_grace(app.token)
    assert isinstance(await app.begin(app.token), Reused)
    with pytest.raises(RefreshTokenInvalid):
        await app.logins.families.finish(begun, new_pair())


async def test_all_keys_end_with_the_session(app: App, valkey: ValkeyStore) -> None:
    """30 days after the login, whatever was refreshed; no key without an end."""
    pair = await app.refresh(app.token)
    expire_ms = int(app.session.expire_time.timestamp() * 1000)
    family = f"family:{app.session.session_id}"
    tokens = [f"refresh:{token_digest(token)}" for token in (app.token, pair.refresh_token)]
    for key in (family, f"{family}:tokens", *tokens):
        assert await app.logins.client.pexpiretime(key) == expire_ms
    assert abs(expire_ms / 1000 - time.time() - LIFE.total_seconds()) < 3600
    for key in await keys_of(valkey, "refresh:*"):
        assert await app.logins.client.pttl(key) != -1


async def test_a_session_that_is_over_has_no_token(logins: Logins) -> None:
    """Its time passed between login and storage."""
    app = await App(logins, session=customer_session(timedelta(seconds=-1))).log_in()
    assert await app.begin(app.token) == Invalid()


async def test_ending_sessions_deletes_all_their_keys(
    logins: Logins, valkey: ValkeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In batches; another customer's session continues, and ending again does no harm."""
    monkeypatch.setattr(families_module, "FAMILIES_BATCH_MAX", 2)
    before = set(await keys_of(valkey))
    apps = [await App(logins).log_in() for _ in range(5)]
    for app in apps:
        await app.end_grace((await app.refresh(app.token)).refresh_token)
        await app.end_grace(app.token)
    other = await App(logins).log_in()
    ended = [app.session.session_id for app in apps]
    for _ in range(2):
        await logins.families.end([*ended, uuid.uuid4()])
    assert len(set(await keys_of(valkey)) - before) == 3
    await other.refresh(other.token)
    await logins.families.end([])


async def test_a_family_remembers_a_bounded_number_of_tokens(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A forgotten token is invalid instead of reused; nobody gets tokens for it."""
    monkeypatch.setattr(families_module, "TOKENS_REMEMBERED_MAX", 3)
    presented = [app.token]
    for _ in range(5):
        presented.append((await app.refresh(presented[-1])).refresh_token)
    assert [
        bool(await app.logins.client.exists(f"refresh:{token_digest(token)}"))
        for token in presented
    ] == [False, False, False, True, True, True]
    assert await app.begin(presented[0]) == Invalid()
    await app.refresh(presented[-1])


async def test_a_look_into_valkey_gives_no_token(app: App, valkey: ValkeyStore) -> None:
    """Only digests and what a replaced token can decrypt."""
    pair = await app.refresh(app.token)
    dump = await dump_of(valkey)
    for secret in (app.token, app.device_token, pair.refresh_token, pair.access_token):
        assert secret.encode() not in dump


class FamilyMachine(RuleBasedStateMachine):
    """A family whose tokens an owner, a forgetful phone and a thief present in any order."""

    def __init__(self, store: ValkeyStore) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.app = App(logins_of(store.client("auth")))
        self.tokens: list[str] = []
        """Every token of the family; the last one is current."""
        self.grace: dict[str, TokenPair] = {}
        self.reused = self.ended = False
        self.slow: Rotate | None = None

    @initialize()
    def log_in(self) -> None:
        self.runner.run(self.app.log_in())
        self.tokens = [self.app.token]

    @rule()
    def refresh(self) -> None:
        """The current token, or what the family's end makes of it."""
        self._free_lease()
        begun = self._begin(self.tokens[-1])
        assert type(begun) is self._expected(Rotate)
        if isinstance(begun, Rotate):
            self._finish(begun)

    @rule(parallel=st.integers(2, 5))
    def refresh_in_parallel(self, parallel: int) -> None:
        """One call rotates and the others get its tokens."""
        self._free_lease()
        kinds = self.runner.run(self._parallel(parallel))
        if self._expected(Rotate) is Rotate:
            assert kinds == {Rotate: 1, Replay: parallel - 1}
        else:
            assert kinds == {self._expected(Rotate): parallel}

    @rule(back=st.integers(1, 3))
    def present_a_replaced_token(self, back: int) -> None:
        """Within the grace the same tokens, later the end of the family."""
        if len(self.tokens) <= back:
            return
        token = self.tokens[-1 - back]
        begun = self._begin(token)
        if token in self.grace and self._expected(Replay) is Replay:
            assert begun == Replay(self.app.family, self.grace[token])
        else:
            assert type(begun) is self._expected(Reused)
            self.reused = True

    @rule()
    def let_the_grace_pass(self) -> None:
        for token in self.grace:
            self.runner.run(self.app.end_grace(token))
        self.grace.clear()

    @rule(back=st.integers(1, 3))
    def present_a_token_on_another_device(self, back: int) -> None:
        """It is invalid and changes nothing."""
        token = self.tokens[max(-back, -len(self.tokens))]
        begun = self.runner.run(self.app.begin(token, new_token()))
        assert begun == Invalid(wrong_device=not self.ended)

    @precondition(lambda self: self.slow is None)
    @rule()
    def begin_slowly(self) -> None:
        """A call that will finish after other calls."""
        begun = self._begin(self.tokens[-1])
        assert type(begun) is self._expected(Rotate)
        if isinstance(begun, Rotate):
            self.slow = begun

    @precondition(lambda self: self.slow is not None)
    @rule()
    def finish_slowly(self) -> None:
        assert self.slow is not None
        slow, self.slow = self.slow, None
        if slow.refresh_token == self.tokens[-1] and not self.reused and not self.ended:
            self._finish(slow)
        elif slow.refresh_token in self.grace and not self.reused and not self.ended:
            won = self.runner.run(self.app.logins.families.finish(slow, new_pair()))
            assert won == self.grace[slow.refresh_token]
        else:
            with pytest.raises(RefreshTokenInvalid):
                self.runner.run(self.app.logins.families.finish(slow, new_pair()))

    @rule()
    def end(self) -> None:
        self.runner.run(self.app.logins.families.end([self.app.session.session_id]))
        self.ended = True

    @invariant()
    def at_most_one_token_is_current(self) -> None:
        """And it is the newest one of a family that has not ended."""
        key = f"family:{self.app.session.session_id}"
        current = self.runner.run(_field(self.app, key, "current"))
        alive = bool(self.tokens) and not self.reused and not self.ended
        assert current == (token_digest(self.tokens[-1]) if alive else "")

    def _expected(self, kind: type) -> type:
        """Return the kind, unless the family has ended."""
        if self.ended:
            return Invalid
        return Reused if self.reused else kind

    def _begin(self, token: str) -> Begun:
        return self.runner.run(self.app.begin(token))

    def _free_lease(self) -> None:
        """Let the lease of the slow call expire, so that the next call does not wait for it."""
        lease = f"refresh:{token_digest(self.tokens[-1])}:lease"
        self.runner.run(expire(self.app.logins.client, lease))

    def _finish(self, begun: Rotate) -> None:
        pair = new_pair()
        assert self.runner.run(self.app.logins.families.finish(begun, pair)) == pair
        self._replaced(begun.refresh_token, pair)

    def _replaced(self, token: str, pair: TokenPair) -> None:
        self.grace[token] = pair
        self.tokens.append(pair.refresh_token)

    async def _parallel(self, count: int) -> Counter[type]:
        token, pair = self.tokens[-1], new_pair()

        async def one() -> type:
            begun = await self.app.begin(token)
            if isinstance(begun, Rotate):
                assert await self.app.logins.families.finish(begun, pair) == pair
                self._replaced(token, pair)
            if isinstance(begun, Replay):
                assert begun.pair == pair
            return type(begun)

        return Counter(await asyncio.gather(*(one() for _ in range(count))))

    def teardown(self) -> None:
        self.runner.run(self.app.logins.client.aclose())
        self.runner.close()


async def _field(app: App, key: str, name: str) -> str:
    value = await app.logins.client.hget(key, name)
    return value.decode() if isinstance(value, bytes) else ""


def test_no_order_of_calls_makes_two_successors_or_revives_a_family(valkey: ValkeyStore) -> None:
    """A state machine on a real Valkey."""
    run_state_machine_as_test(
        lambda: FamilyMachine(valkey), settings=settings(max_examples=20, stateful_step_count=20)
    )
