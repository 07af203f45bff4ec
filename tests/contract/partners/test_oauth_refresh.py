"""Refresh tokens of the provider: rotation, leeway, reuse, revocation, introspection, kill -9."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from ops.waiting import until
from tests.contract.partners import login_client as client
from tests.contract.partners.processes import START_S, PartnerProcess, running
from tests.contract.partners.test_oauth import verified

REVOKED = (400, "invalid_grant")
OF_THE_LOGIN = ("sub", "aud", "client_id", "sid", "device", "amr", "auth_time", "act")


def settings(**extra: Any) -> dict[str, Any]:
    return {"audience": "bp-api", "clients": client.registered(), **extra}


@pytest.fixture(scope="module")
async def oauth(
    certs: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[PartnerProcess]:
    """A provider whose leeway is longer than any test."""
    directory = tmp_path_factory.mktemp("oauth-refresh")
    async with running("oauth", directory, certs, **settings(refresh_leeway_s=3_600)) as partner:
        yield partner


@pytest.fixture(scope="module")
async def strict(
    certs: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[PartnerProcess]:
    """A provider without a leeway."""
    directory = tmp_path_factory.mktemp("oauth-strict")
    async with running("oauth", directory, certs, **settings(refresh_leeway_s=0)) as partner:
        yield partner


async def refreshed(oauth: PartnerProcess, token: str) -> str:
    got = await client.refresh(oauth, token)
    assert got.status == 200, got.body
    return got.body["refresh_token"]


async def test_a_refresh_replaces_the_token_and_keeps_the_claims_of_the_login(
    oauth: PartnerProcess,
) -> None:
    first = await client.logged_in(oauth)
    _, before = await verified(oauth, first["access_token"])
    token = first["refresh_token"]
    for _ in range(3):
        got = await client.refresh(oauth, token)
        assert got.status == 200, got.body
        assert got.headers["Cache-Control"] == "no-store"
        assert (got.body["token_type"], got.body["expires_in"]) == ("Bearer", 600)
        header, claims = await verified(oauth, got.body["access_token"])
        assert header["typ"] == "at+jwt"
        assert {n: claims[n] for n in OF_THE_LOGIN} == {n: before[n] for n in OF_THE_LOGIN}
        assert claims["exp"] - claims["iat"] == 600
        assert claims["jti"] != before["jti"]
        assert claims["scope"] == "transfers:write offline_access"
        assert got.body["refresh_token"] != token
        token = got.body["refresh_token"]


async def test_a_refresh_may_narrow_the_scope_once_and_never_widen_it(
    oauth: PartnerProcess,
) -> None:
    token = (await client.logged_in(oauth))["refresh_token"]
    wider = await client.refresh(oauth, token, scope="transfers:write auth:write")
    assert client.said(wider) == (400, "invalid_scope")
    narrow = await client.refresh(oauth, token, scope="transfers:write")
    assert narrow.body["scope"] == "transfers:write"
    full = await client.refresh(oauth, narrow.body["refresh_token"])
    assert full.body["scope"] == "transfers:write offline_access"


async def test_a_caller_that_lost_the_answer_uses_the_last_token_again(
    oauth: PartnerProcess,
) -> None:
    token = (await client.logged_in(oauth))["refresh_token"]
    lost = await refreshed(oauth, token)
    await oauth.restart()
    successor = await refreshed(oauth, token)
    assert successor not in (lost, token)
    assert await refreshed(oauth, successor)


async def test_the_first_current_token_that_is_used_makes_the_other_one_an_earlier_token(
    oauth: PartnerProcess,
) -> None:
    """A thief who uses the last token within the leeway is found at the second use."""
    token = (await client.logged_in(oauth))["refresh_token"]
    of_owner, of_thief = await refreshed(oauth, token), await refreshed(oauth, token)
    latest = await refreshed(oauth, of_owner)
    assert client.said(await client.refresh(oauth, of_thief)) == REVOKED
    assert client.said(await client.refresh(oauth, latest)) == REVOKED


async def test_a_token_before_the_last_one_has_no_leeway(oauth: PartnerProcess) -> None:
    token = (await client.logged_in(oauth))["refresh_token"]
    latest = await refreshed(oauth, await refreshed(oauth, token))
    assert client.said(await client.refresh(oauth, token)) == REVOKED
    assert client.said(await client.refresh(oauth, latest)) == REVOKED


async def test_reuse_after_the_leeway_ends_the_grant_and_its_access_tokens_also_after_kill_9(
    strict: PartnerProcess,
) -> None:
    login = await client.logged_in(strict)
    got = (await client.refresh(strict, login["refresh_token"])).body
    assert (await client.introspected(strict, got["access_token"]))["active"]
    before = (await strict.control("GET", "/control/state")).body
    assert client.said(await client.refresh(strict, login["refresh_token"])) == REVOKED
    after = (await strict.control("GET", "/control/state")).body
    assert (after["reuses"], after["grants"]) == (before["reuses"] + 1, before["grants"] - 1)
    for _ in range(2):
        assert client.said(await client.refresh(strict, got["refresh_token"])) == REVOKED
        for token in (got["refresh_token"], login["access_token"], got["access_token"]):
            assert await client.introspected(strict, token) == {"active": False}
        await strict.restart()


async def test_a_grant_outlives_kill_9_and_so_does_the_state_of_its_tokens(
    strict: PartnerProcess,
) -> None:
    first = (await client.logged_in(strict))["refresh_token"]
    second = await refreshed(strict, first)
    await strict.restart()
    third = await refreshed(strict, second)
    await strict.restart()
    assert client.said(await client.refresh(strict, second)) == REVOKED
    assert client.said(await client.refresh(strict, third)) == REVOKED


@pytest.mark.parametrize("other", ["bp-other", "bp-mobile"])
async def test_a_refresh_token_is_of_one_client(oauth: PartnerProcess, other: str) -> None:
    token = (await client.logged_in(oauth))["refresh_token"]

    def own() -> dict[str, str]:
        is_mobile = other == "bp-mobile"
        return client.MOBILE if is_mobile else client.authentication(client.OTHER_KEY, other)

    assert client.said(await client.refresh(oauth, token, **own())) == REVOKED
    shown = await client.post(oauth, "/introspect", {"token": token, **own()})
    assert shown.body == {"active": False}
    revoked = await client.post(oauth, "/revoke", {"token": token, **own()})
    assert client.said(revoked) == REVOKED
    assert await refreshed(oauth, token)


@pytest.mark.parametrize("token", ["x", "A" * 65, "é" * 65, "A" * 10_000])
async def test_an_invented_refresh_token_is_an_invalid_grant(
    oauth: PartnerProcess, token: str
) -> None:
    assert client.said(await client.refresh(oauth, token)) == REVOKED
    assert await client.introspected(oauth, token) == {"active": False}
    assert client.said(await client.post(oauth, "/revoke", {"token": token})) == (200, "")


async def test_a_missing_token_is_an_invalid_request(oauth: PartnerProcess) -> None:
    missing = await client.post(oauth, "/token", {"grant_type": "refresh_token"})
    assert client.said(missing) == (400, "invalid_request")
    for path in ("/revoke", "/introspect"):
        assert client.said(await client.post(oauth, path, {})) == (400, "invalid_request")


async def test_a_new_exchange_of_a_session_replaces_its_grant(oauth: PartnerProcess) -> None:
    first = await client.logged_in(oauth)
    session = (await client.introspected(oauth, first["access_token"]))["sid"]
    second = await client.logged_in(oauth, sid=session)
    assert client.said(await client.refresh(oauth, first["refresh_token"])) == REVOKED
    assert (await client.introspected(oauth, first["access_token"]))["active"]
    assert await refreshed(oauth, second["refresh_token"])


@pytest.mark.parametrize("kind", ["access_token", "refresh_token"])
async def test_a_revoked_token_ends_its_grant_also_after_kill_9(
    oauth: PartnerProcess, kind: str
) -> None:
    login, other = await client.logged_in(oauth), await client.logged_in(oauth)
    before = (await oauth.control("GET", "/control/state")).body["revocations"]
    form = {"token": login[kind], "token_type_hint": kind}
    for _ in range(2):
        assert client.said(await client.post(oauth, "/revoke", form)) == (200, "")
    if kind == "refresh_token":
        assert (await oauth.control("GET", "/control/state")).body["revocations"] == before + 1
    for _ in range(2):
        assert client.said(await client.refresh(oauth, login["refresh_token"])) == REVOKED
        for token in (login["access_token"], login["refresh_token"]):
            assert await client.introspected(oauth, token) == {"active": False}
        assert (await client.introspected(oauth, other["access_token"]))["active"]
        await oauth.restart()


async def test_an_earlier_refresh_token_revokes_its_grant_too(strict: PartnerProcess) -> None:
    first = (await client.logged_in(strict))["refresh_token"]
    second = await refreshed(strict, first)
    assert (await client.post(strict, "/revoke", {"token": first})).status == 200
    assert client.said(await client.refresh(strict, second)) == REVOKED


async def test_a_client_revokes_only_its_own_access_token(oauth: PartnerProcess) -> None:
    access = (await client.logged_in(oauth))["access_token"]
    form = {"token": access, **client.MOBILE}
    assert client.said(await client.post(oauth, "/revoke", form)) == REVOKED
    own = await client.actor_token(oauth)
    assert (await client.post(oauth, "/revoke", {"token": own})).status == 200
    assert await client.introspected(oauth, own) == {"active": False}
    refused = await client.exchange(oauth, client.subject_token(), actor_token=own)
    assert client.said(refused) == (400, "invalid_request")
    assert (await client.introspected(oauth, access))["active"]


async def test_introspection_shows_the_claims_of_an_active_token(oauth: PartnerProcess) -> None:
    login = await client.logged_in(oauth)
    _, claims = await verified(oauth, login["access_token"])
    shown = await client.introspected(oauth, login["access_token"])
    assert shown == {**claims, "active": True, "token_type": "Bearer"}
    of_refresh = await client.introspected(oauth, login["refresh_token"])
    assert of_refresh["active"]
    assert {n: of_refresh[n] for n in OF_THE_LOGIN} == {n: claims[n] for n in OF_THE_LOGIN}
    assert of_refresh["exp"] - of_refresh["iat"] == 30 * 86_400
    await refreshed(oauth, login["refresh_token"])
    assert await client.introspected(oauth, login["refresh_token"]) == {"active": False}


async def test_introspection_of_an_expired_or_forged_token_says_only_that_it_is_inactive(
    oauth: PartnerProcess,
) -> None:
    minted = await oauth.control("POST", "/control/tokens", {"subject": "s", "lifetime_s": -60})
    forged = client.signed({"iss": client.ISSUER, "sub": "s"})
    for token in (minted.body["access_token"], forged):
        assert await client.introspected(oauth, token) == {"active": False}


async def test_a_grant_ends_after_its_lifetime_however_often_it_is_refreshed(
    certs: Path, tmp_path: Path
) -> None:
    async with running("oauth", tmp_path, certs, **settings(grant_ttl_s=5)) as short:
        token = (await client.logged_in(short))["refresh_token"]

        async def has_ended() -> bool:
            nonlocal token
            got = await client.refresh(short, token)
            token = got.body.get("refresh_token", token)
            return client.said(got) == REVOKED

        await until(has_ended, START_S, "the end of the grant")
        assert await client.introspected(short, token) == {"active": False}


async def test_the_journal_has_no_refresh_token(oauth: PartnerProcess) -> None:
    first = (await client.logged_in(oauth))["refresh_token"]
    tokens = [first, await refreshed(oauth, first)]
    state = Path(oauth.config["state_dir"])
    for file in state.iterdir():
        assert file.stat().st_mode & 0o777 == 0o600
        assert not [token for token in tokens if token[:22] in file.read_text()], file.name
