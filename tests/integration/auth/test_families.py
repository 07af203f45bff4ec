"""The families of refresh tokens in Valkey: one successor, grace, reuse, devices, races."""

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator
from datetime import timedelta

import pytest
import pytest_asyncio

from services.auth import families as families_module
from services.auth.errors import RefreshTokenInvalid
from services.auth.refresh import Invalid, Replay, Reused, Rotate, token_digest
from services.auth.state import TokenPair
from services.kernel.errors import DependencyUnavailable
from tests.integration.auth.logins import (
    LIFE,
    SETTINGS,
    App,
    Logins,
    customer_session,
    dump_of,
    expire,
    keys_of,
    new_pair,
    new_token,
    opened,
)
from tests.rigs.stores import ValkeyStore


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
            assert await app.begin(token, device_token) == Invalid(wrong_device=app.family)
    await app.end_grace(app.token)
    assert await app.begin(app.token, new_token()) == Invalid(wrong_device=app.family)
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
