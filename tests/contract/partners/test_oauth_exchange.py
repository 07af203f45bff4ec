"""Token exchange (RFC 8693): a token for the customer whose login bp-auth confirms."""

import time
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import ECKey

from tests.contract.partners import login_client as client
from tests.contract.partners.processes import PartnerProcess, running
from tests.contract.partners.test_oauth import verified

LONG_AGO = int(time.time()) - 86_400
LATER = int(time.time()) + 86_400


@pytest.fixture(scope="module")
async def oauth(
    certs: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[PartnerProcess]:
    directory = tmp_path_factory.mktemp("oauth-exchange")
    clients = client.registered()
    async with running("oauth", directory, certs, audience="bp-api", clients=clients) as partner:
        yield partner


async def test_an_exchange_gives_a_token_with_the_claims_of_the_login(
    oauth: PartnerProcess,
) -> None:
    login: dict[str, Any] = {
        "sub": str(uuid.uuid4()),
        "sid": str(uuid.uuid4()),
        "device": "phone-7",
        "amr": ["pwd", "hwk"],
        "auth_time": int(time.time()) - 5,
    }
    got = await client.exchange(oauth, client.subject_token(**login))
    assert got.status == 200, got.body
    assert got.headers["Cache-Control"] == "no-store"
    assert got.body["issued_token_type"] == client.ACCESS_TOKEN
    assert (got.body["token_type"], got.body["expires_in"]) == ("Bearer", 600)
    assert got.body["scope"] == "transfers:write offline_access"
    header, claims = await verified(oauth, got.body["access_token"])
    assert (header["alg"], header["typ"]) == ("ES256", "at+jwt")
    assert {name: claims[name] for name in login} == login
    assert (claims["iss"], claims["aud"]) == (client.ISSUER, "bp-api")
    assert (claims["client_id"], claims["act"]) == ("bp-auth", {"sub": "bp-auth"})
    assert claims["scope"] == got.body["scope"]
    assert claims["exp"] - claims["iat"] == 600
    assert uuid.UUID(claims["jti"])


async def test_a_refresh_token_comes_only_for_offline_access_or_on_request(
    oauth: PartnerProcess,
) -> None:
    plain = await client.exchange(oauth, client.subject_token(), scope="auth:write")
    assert plain.status == 200
    assert "refresh_token" not in plain.body
    by_default = await client.exchange(oauth, client.subject_token(), scope=None, audience=None)
    assert by_default.body["scope"] == "auth:write transfers:write"
    assert "refresh_token" not in by_default.body
    asked = {"scope": "auth:write", "requested_token_type": client.REFRESH_TOKEN}
    requested = await client.exchange(oauth, client.subject_token(), **asked)
    assert requested.body["scope"] == "auth:write offline_access"
    assert requested.body["issued_token_type"] == client.ACCESS_TOKEN
    # 128 bits name the grant, 256 bits are the secret.
    assert len(requested.body["refresh_token"]) == 65


@pytest.mark.parametrize(
    "change",
    [
        {"aud": "https://elsewhere.example"},
        {"aud": f"{client.ISSUER}/token"},
        {"aud": None},
        {"iss": "bp-other"},
        {"iat": LONG_AGO, "exp": LONG_AGO + 60},
        {"exp": LATER},
        {"iat": int(time.time()), "exp": int(time.time()) + 121},
        {"exp": None},
        {"jti": None},
        {"sub": None},
        {"sub": "ana"},
        {"sub": "bp-auth"},
        {"sid": None},
        {"sid": ""},
        {"sid": 7},
        {"sid": "s" * 300},
        {"device": None},
        {"amr": None},
        {"amr": []},
        {"amr": "pwd"},
        {"amr": ["pwd", 7]},
        {"amr": ["pwd"] * 9},
        {"auth_time": None},
        {"auth_time": "now"},
        {"auth_time": LATER},
        {"auth_time": -1},
        {"key": client.OTHER_KEY},
        {"key": ECKey.generate_key("P-256")},
    ],
)
async def test_a_wrong_subject_token_is_an_invalid_request(
    oauth: PartnerProcess, change: dict[str, Any]
) -> None:
    refused = await client.exchange(oauth, client.subject_token(**change))
    assert client.said(refused) == (400, "invalid_request")


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"subject_token_type": client.ACCESS_TOKEN}, "invalid_request"),
        ({"subject_token_type": None}, "invalid_request"),
        ({"subject_token": None}, "invalid_request"),
        ({"subject_token": str(uuid.uuid4())}, "invalid_request"),
        ({"actor_token_type": client.JWT}, "invalid_request"),
        ({"actor_token_type": None}, "invalid_request"),
        ({"actor_token": None}, "invalid_request"),
        ({"actor_token": "a.b.c"}, "invalid_request"),
        ({"requested_token_type": client.JWT}, "invalid_request"),
        ({"audience": "https://elsewhere.example"}, "invalid_target"),
        ({"resource": "https://elsewhere.example"}, "invalid_target"),
        ({"scope": "transfers:write admin"}, "invalid_scope"),
    ],
)
async def test_a_wrong_parameter_has_its_registered_error(
    oauth: PartnerProcess, change: dict[str, str | None], error: str
) -> None:
    refused = await client.exchange(oauth, client.subject_token(), **change)
    assert client.said(refused) == (400, error)


async def test_a_subject_token_is_used_once_also_after_kill_9(oauth: PartnerProcess) -> None:
    subject = client.subject_token()
    assert (await client.exchange(oauth, subject)).status == 200
    again = await client.exchange(oauth, subject)
    assert client.said(again) == (400, "invalid_request")
    await oauth.restart()
    assert client.said(await client.exchange(oauth, subject)) == (400, "invalid_request")


async def test_a_refused_exchange_does_not_use_up_the_subject_token(
    oauth: PartnerProcess,
) -> None:
    subject = client.subject_token()
    for change in ({"audience": "x"}, {"scope": "admin"}, {"actor_token": "x"}):
        assert (await client.exchange(oauth, subject, **change)).status == 400
    assert (await client.exchange(oauth, subject)).status == 200


async def test_only_the_login_may_exchange_tokens(oauth: PartnerProcess) -> None:
    form = {
        "grant_type": client.EXCHANGE,
        "subject_token": client.subject_token(),
        "subject_token_type": client.JWT,
    }
    other = client.authentication(client.OTHER_KEY, "bp-other")
    for own in (client.MOBILE, other):
        refused = await oauth.call("POST", "/token", data={**form, **own})
        assert client.said(refused) == (400, "unauthorized_client")
    shortcut = {**form, **client.MOBILE, "subject_token": str(uuid.uuid4())}
    refused = await oauth.call("POST", "/token", data=shortcut)
    assert client.said(refused) == (400, "unauthorized_client")


async def test_the_actor_token_is_the_clients_own_access_token(oauth: PartnerProcess) -> None:
    other = client.authentication(client.OTHER_KEY, "bp-other")
    form = {"grant_type": "client_credentials", **other}
    of_other = (await oauth.call("POST", "/token", data=form)).body["access_token"]
    of_customer = (await client.logged_in(oauth))["access_token"]
    minted: list[str] = []
    for lifetime_s, claims in (
        (-10, {"aud": client.ISSUER, "client_id": "bp-auth"}),
        (60, {"aud": "bp-api", "client_id": "bp-auth"}),
        (60, {"aud": client.ISSUER, "client_id": "bp-other"}),
    ):
        body = {"subject": "bp-auth", "lifetime_s": lifetime_s, "claims": claims}
        got = await oauth.control("POST", "/control/tokens", body)
        minted.append(got.body["access_token"])
    own = client.signed({"iss": client.ISSUER, "sub": "bp-auth", "client_id": "bp-auth"})
    for actor in (of_other, of_customer, own, *minted):
        refused = await client.exchange(oauth, client.subject_token(), actor_token=actor)
        assert client.said(refused) == (400, "invalid_request")


async def test_an_actor_token_stays_valid_over_a_rotation_of_the_providers_keys(
    oauth: PartnerProcess,
) -> None:
    actor = await client.actor_token(oauth)
    await oauth.control("POST", "/control/keys/rotate", {"overlap_s": 600})
    got = await client.exchange(oauth, client.subject_token(), actor_token=actor)
    assert got.status == 200, got.body
    await verified(oauth, got.body["access_token"])
