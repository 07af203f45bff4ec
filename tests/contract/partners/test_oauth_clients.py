"""Clients that authenticate with a signed assertion (private_key_jwt), and the discovery."""

import time
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import ECKey
from pydantic import ValidationError

from ops.provision import secrets
from ops.provision.credentials import load_or_make
from ops.provision.stores import PostgresServer
from sandbox.partners.settings import OauthClient
from tests.contract.partners import login_client as client
from tests.contract.partners.processes import PartnerProcess, running
from tests.contract.partners.test_oauth import verified

CREDENTIALS = {"grant_type": "client_credentials"}
LONG_AGO = int(time.time()) - 86_400
LATER = int(time.time()) + 86_400


@pytest.fixture(scope="module")
async def oauth(
    certs: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[PartnerProcess]:
    directory = tmp_path_factory.mktemp("oauth-clients")
    clients = client.registered()
    async with running("oauth", directory, certs, audience="bp-api", clients=clients) as partner:
        yield partner


async def test_a_client_with_a_key_gets_a_token_for_the_provider_itself(
    oauth: PartnerProcess,
) -> None:
    for audience in (client.ISSUER, f"{client.ISSUER}/token", [client.ISSUER]):
        form = {**CREDENTIALS, **client.authentication(aud=audience)}
        got = await oauth.call("POST", "/token", data=form)
        assert got.status == 200, got.body
        assert got.headers["Cache-Control"] == "no-store"
        header, claims = await verified(oauth, got.body["access_token"])
        assert (claims["sub"], claims["client_id"]) == ("bp-auth", "bp-auth")
        assert (claims["aud"], header["typ"]) == (client.ISSUER, "at+jwt")
        assert claims["scope"] == "auth:write transfers:write"
        assert "sid" not in claims
        assert "refresh_token" not in got.body


@pytest.mark.parametrize(
    "change",
    [
        {"aud": "https://elsewhere.example"},
        {"aud": [client.ISSUER, "https://elsewhere.example"]},
        {"aud": None},
        {"iss": "bp-other"},
        {"iss": None},
        {"sub": "bp-mobile"},
        {"sub": None},
        {"iat": LONG_AGO, "exp": LONG_AGO + 60},
        {"exp": None},
        {"exp": "tomorrow"},
        {"exp": True},
        {"exp": LATER},
        {"iat": None, "exp": LATER},
        {"iat": LATER, "exp": LATER + 60},
        {"nbf": LATER},
        {"jti": None},
        {"jti": ""},
        {"jti": 7},
        {"jti": "j" * 300},
        {"key": client.OTHER_KEY},
        {"key": ECKey.generate_key("P-256")},
    ],
)
async def test_a_wrong_assertion_is_an_invalid_client(
    oauth: PartnerProcess, change: dict[str, Any]
) -> None:
    form = {**CREDENTIALS, "client_id": "bp-auth", **client.authentication(**change)}
    refused = await oauth.call("POST", "/token", data=form)
    assert client.said(refused) == (401, "invalid_client")
    assert refused.headers["WWW-Authenticate"]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"client_assertion": "a.b.c"}, (401, "invalid_client")),
        ({"client_assertion": "e30.e30.e30"}, (401, "invalid_client")),
        ({"client_assertion": ""}, (401, "invalid_client")),
        ({"client_assertion": "W" * 30_000 + ".e30.e30"}, (401, "invalid_client")),
        ({"client_assertion_type": "urn:other"}, (400, "invalid_request")),
        ({"client_assertion_type": ""}, (400, "invalid_request")),
        ({"client_id": "bp-mobile"}, (401, "invalid_client")),
        ({"client_id": "bp-other"}, (401, "invalid_client")),
        ({"client_id": "unknown"}, (401, "invalid_client")),
        ({"client_secret": "guessed-secret"}, (400, "invalid_request")),
    ],
)
async def test_an_assertion_comes_alone_and_fits_the_client_id(
    oauth: PartnerProcess, change: dict[str, str], expected: tuple[int, str]
) -> None:
    form = {**CREDENTIALS, **client.authentication(), **change}
    assert client.said(await oauth.call("POST", "/token", data=form)) == expected


async def test_a_client_with_a_key_has_no_secret_and_a_client_with_a_secret_no_key(
    oauth: PartnerProcess,
) -> None:
    by_secret = {**CREDENTIALS, "client_id": "bp-auth", "client_secret": "oauth-test-secret"}
    refused = await oauth.call("POST", "/token", data=by_secret)
    assert client.said(refused) == (401, "invalid_client")
    by_key = {**CREDENTIALS, **client.authentication(client_id="bp-mobile")}
    refused = await oauth.call("POST", "/token", data=by_key)
    assert client.said(refused) == (401, "invalid_client")
    no_secret = {**CREDENTIALS, "client_id": "bp-auth"}
    refused = await oauth.call("POST", "/token", data=no_secret)
    assert client.said(refused) == (401, "invalid_client")


async def test_an_assertion_is_used_once_also_after_kill_9(oauth: PartnerProcess) -> None:
    form = {**CREDENTIALS, **client.authentication()}
    assert (await oauth.call("POST", "/token", data=form)).status == 200
    again = await oauth.call("POST", "/token", data=form)
    assert client.said(again) == (401, "invalid_client")
    assert "jti" in again.body["error_description"]
    elsewhere = await oauth.call("POST", "/introspect", data={**form, "token": "t"})
    assert client.said(elsewhere) == (401, "invalid_client")
    await oauth.restart()
    assert client.said(await oauth.call("POST", "/token", data=form)) == (401, "invalid_client")


async def test_two_clients_may_choose_the_same_jti(oauth: PartnerProcess) -> None:
    jti = str(uuid.uuid4())
    own = client.authentication(jti=jti)
    other = client.authentication(client.OTHER_KEY, "bp-other", jti=jti)
    for form in (own, other):
        assert (await oauth.call("POST", "/token", data={**CREDENTIALS, **form})).status == 200


async def test_a_clock_that_differs_by_two_minutes_is_tolerated(oauth: PartnerProcess) -> None:
    now = int(time.time())
    for issued in (now - 150, now + 120):
        form = {**CREDENTIALS, **client.authentication(iat=issued, exp=issued + 60)}
        got = await oauth.call("POST", "/token", data=form)
        assert got.status == 200, got.body


async def test_beyond_the_limit_of_used_ids_an_assertion_is_refused(
    certs: Path, tmp_path: Path
) -> None:
    extra = {"audience": "bp-api", "clients": client.registered(), "used_ids_max": 1}
    async with running("oauth", tmp_path, certs, **extra) as small:
        assert client.said(await client.post(small, "/token", CREDENTIALS)) == (200, "")
        refused = await client.post(small, "/token", CREDENTIALS)
        assert client.said(refused) == (503, "temporarily_unavailable")


async def test_the_key_in_openbao_is_the_one_that_the_provider_knows(
    certs: Path, tmp_path: Path
) -> None:
    credentials = load_or_make(tmp_path)
    assert load_or_make(tmp_path) == credentials
    store = PostgresServer("localhost", 5432, "postgres", "")
    secret = secrets.kv_secrets(credentials, store, tmp_path)["external/oauth-login"]
    jwk = secrets.login_public_jwk(credentials.oauth_login_key)
    assert (jwk["kid"], "d" in jwk) == (secret["key_id"], False)
    registered = {"client_id": secret["client_id"], "public_jwk": jwk, "exchange": True}
    extra = {"audience": secret["audience"], "clients": [registered]}
    async with running("oauth", tmp_path / "oauth", certs, **extra) as provider:
        key = ECKey.import_key(secret["private_key"])
        proof = client.authentication(key, secret["client_id"], aud=secret["token_endpoint"])
        got = await provider.call("POST", "/token", data={**CREDENTIALS, **proof})
        assert got.status == 200, got.body


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"client_secret": "long-enough", "public_jwk": {"kty": "EC"}},
        {"client_secret": "short"},
    ],
)
def test_a_registered_client_has_exactly_one_credential(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        OauthClient(client_id="x", **wrong)


async def test_offline_access_is_not_for_client_credentials_or_the_sandboxs_grant(
    oauth: PartnerProcess,
) -> None:
    refused = await client.post(oauth, "/token", {**CREDENTIALS, "scope": "offline_access"})
    assert client.said(refused) == (400, "invalid_scope")
    customer = {"grant_type": "customer", "subject": str(uuid.uuid4())}
    assert client.said(await client.post(oauth, "/token", customer)) == (
        400,
        "unauthorized_client",
    )


async def test_a_form_is_read_strictly(oauth: PartnerProcess) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    repeated = "grant_type=client_credentials&grant_type=customer"
    for body, content_type in (
        (repeated.encode(), form),
        (b"grant_type=\xff", form),
        (b"grant_type=x", {"Content-Type": f"{form['Content-Type']}; charset=nothing"}),
    ):
        refused = await oauth.call("POST", "/token", data=body, headers=content_type)
        assert client.said(refused) == (400, "invalid_request"), body


async def test_the_discovery_document_lists_what_the_provider_does(oauth: PartnerProcess) -> None:
    document = (await oauth.call("GET", "/.well-known/openid-configuration")).body
    assert document["grant_types_supported"] == [
        "client_credentials",
        "customer",
        client.EXCHANGE,
        "refresh_token",
    ]
    assert document["scopes_supported"] == ["auth:write", "offline_access", "transfers:write"]
    for name in ("token", "revocation", "introspection"):
        path = document[f"{name}_endpoint"].removeprefix(client.ISSUER)
        assert client.said(await oauth.call("POST", path)) == (401, "invalid_client")
        methods = document[f"{name}_endpoint_auth_methods_supported"]
        assert methods == ["client_secret_basic", "client_secret_post", "private_key_jwt"]
        assert document[f"{name}_endpoint_auth_signing_alg_values_supported"] == ["ES256"]


async def test_a_token_of_the_sandbox_has_the_claims_of_a_login(oauth: PartnerProcess) -> None:
    form = {"grant_type": "customer", "subject": str(uuid.uuid4()), **client.MOBILE}
    got = await oauth.call("POST", "/token", data=form)
    assert got.body["expires_in"] == 600
    minted = await oauth.control("POST", "/control/tokens", {"subject": "s"})
    for token in (got.body["access_token"], minted.body["access_token"]):
        _, claims = await verified(oauth, token)
        assert uuid.UUID(claims["sid"])
        assert (claims["device"], claims["amr"]) == ("", ["pwd", "otp", "face"])
        assert claims["auth_time"] == claims["iat"]
        assert "act" not in claims


async def test_the_control_api_replaces_and_removes_claims(oauth: PartnerProcess) -> None:
    changes = {"sid": "s-1", "amr": ["pwd"], "auth_time": 1, "device": None, "aud": None}
    body = {"subject": "s", "claims": changes}
    minted = await oauth.control("POST", "/control/tokens", body)
    _, claims = await verified(oauth, minted.body["access_token"])
    assert {name: claims.get(name) for name in changes} == changes
    assert {"device", "aud"} & claims.keys() == set()
