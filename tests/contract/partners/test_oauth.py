"""The OpenID provider: tokens, key set, rotation."""

import base64
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from tests.contract.partners.processes import Answer, PartnerProcess, running

CLIENT = {"client_id": "bp-mobile", "client_secret": "oauth-test-secret"}


@pytest.fixture(scope="module")
async def oauth(
    certs: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[PartnerProcess]:
    directory = tmp_path_factory.mktemp("oauth")
    clients = [{**CLIENT, "scopes": ["payments.write", "balances.read"]}]
    async with running("oauth", directory, certs, audience="bp-api", clients=clients) as partner:
        yield partner


async def customer_token(oauth: PartnerProcess, customer: str, **changes: str) -> Answer:
    form = {"grant_type": "customer", "subject": customer, "scope": "payments.write", **CLIENT}
    return await oauth.call("POST", "/token", data={**form, **changes})


async def verified(oauth: PartnerProcess, token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    jwks = (await oauth.call("GET", "/jwks")).body
    decoded = jwt.decode(token, KeySet.import_key_set(jwks), algorithms=["ES256"])
    return decoded.header, decoded.claims


async def test_a_customer_token_carries_the_customer_and_verifies_by_the_key_set(
    oauth: PartnerProcess,
) -> None:
    discovery = (await oauth.call("GET", "/.well-known/openid-configuration")).body
    assert discovery["jwks_uri"] == "https://oauth.example/jwks"
    customer = str(uuid.uuid4())
    got = await customer_token(oauth, customer)
    assert got.status == 200, got.body
    assert (got.body["token_type"], got.body["expires_in"]) == ("Bearer", 900)
    header, claims = await verified(oauth, got.body["access_token"])
    assert header["alg"] == "ES256"
    assert claims["sub"] == customer
    assert (claims["iss"], claims["aud"]) == (discovery["issuer"], "bp-api")
    assert claims["scope"] == "payments.write"
    assert claims["exp"] - claims["iat"] == 900
    assert uuid.UUID(claims["jti"])


async def test_client_credentials_by_basic_header_name_the_client(oauth: PartnerProcess) -> None:
    pair = f"{CLIENT['client_id']}:{CLIENT['client_secret']}"
    header = "Basic " + base64.b64encode(pair.encode()).decode()
    form = {"grant_type": "client_credentials"}
    got = await oauth.call("POST", "/token", data=form, headers={"Authorization": header})
    _, claims = await verified(oauth, got.body["access_token"])
    assert claims["sub"] == "bp-mobile"
    assert claims["scope"] == "payments.write balances.read"


@pytest.mark.parametrize(
    ("change", "status", "error"),
    [
        ({"client_secret": "wrong"}, 401, "invalid_client"),
        ({"client_id": "nobody"}, 401, "invalid_client"),
        ({"scope": "admin"}, 400, "invalid_scope"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({"subject": "not-a-uuid"}, 400, "invalid_request"),
    ],
)
async def test_a_wrong_request_is_refused_with_its_registered_error(
    oauth: PartnerProcess, change: dict[str, str], status: int, error: str
) -> None:
    refused = await customer_token(oauth, str(uuid.uuid4()), **change)
    assert (refused.status, refused.body["error"]) == (status, error)


async def test_keys_outlive_kill_9_and_rotate_with_overlap(oauth: PartnerProcess) -> None:
    old = (await customer_token(oauth, str(uuid.uuid4()))).body["access_token"]
    await oauth.restart()
    old_header, _ = await verified(oauth, old)
    made = await oauth.control("POST", "/control/keys/rotate", {"overlap_s": 600})
    new = (await customer_token(oauth, str(uuid.uuid4()))).body["access_token"]
    new_header, _ = await verified(oauth, new)
    assert new_header["kid"] == made.body["kid"] != old_header["kid"]
    await verified(oauth, old)
    assert (await oauth.control("DELETE", f"/control/keys/{old_header['kid']}")).status == 200
    with pytest.raises((JoseError, ValueError)):
        await verified(oauth, old)


async def test_a_new_key_with_a_lead_time_is_published_before_it_signs(
    oauth: PartnerProcess,
) -> None:
    made = await oauth.control("POST", "/control/keys/rotate", {"lead_s": 600})
    kids = [key["kid"] for key in (await oauth.call("GET", "/jwks")).body["keys"]]
    assert made.body["kid"] in kids
    token = (await customer_token(oauth, str(uuid.uuid4()))).body["access_token"]
    header, _ = await verified(oauth, token)
    assert header["kid"] != made.body["kid"]


async def test_the_control_api_mints_an_expired_token_for_tests_of_the_gateway(
    oauth: PartnerProcess,
) -> None:
    body = {"subject": "s", "lifetime_s": -60, "claims": {"aud": "other"}}
    minted = await oauth.control("POST", "/control/tokens", body)
    _, claims = await verified(oauth, minted.body["access_token"])
    assert claims["exp"] < claims["iat"]
    assert claims["aud"] == "other"


async def test_one_process_stays_small(oauth: PartnerProcess) -> None:
    # Eight MiB of these are pages of the cryptography library, which other processes share.
    assert oauth.rss_mib() < 64
