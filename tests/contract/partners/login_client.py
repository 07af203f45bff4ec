"""The client bp-auth as the tests play it: it signs assertions and subject tokens. No tests."""

import time
import uuid
from typing import Any

from joserfc import jwt
from joserfc.jwk import ECKey

from tests.contract.partners.processes import Answer, PartnerProcess

ISSUER = "https://oauth.example"
CLIENT_ID = "bp-auth"
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
JWT = "urn:ietf:params:oauth:token-type:jwt"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"
REFRESH_TOKEN = "urn:ietf:params:oauth:token-type:refresh_token"
MOBILE = {"client_id": "bp-mobile", "client_secret": "oauth-test-secret"}
SCOPES = ["auth:write", "transfers:write"]
KEY = ECKey.generate_key("P-256")
OTHER_KEY = ECKey.generate_key("P-256")


def registered() -> list[dict[str, Any]]:
    """Return the clients of a provider's config: bp-mobile, bp-auth, and one with another key."""
    return [
        {**MOBILE, "scopes": SCOPES},
        login_client(CLIENT_ID, KEY, exchange=True),
        login_client("bp-other", OTHER_KEY, exchange=False),
    ]


def login_client(client_id: str, key: ECKey, *, exchange: bool) -> dict[str, Any]:
    """Return the config of a client with a key."""
    jwk = {name: str(value) for name, value in key.as_dict(private=False).items()}
    scopes = [*SCOPES, "offline_access"]
    own = {"client_id": client_id, "public_jwk": jwk, "customers": False, "exchange": exchange}
    return {**own, "scopes": scopes}


def signed(claims: dict[str, Any], key: ECKey = KEY, **changes: Any) -> str:
    """Return a JWT that is valid for a minute; `changes` replace claims, None removes one."""
    now = int(time.time())
    usual = {"aud": ISSUER, "iat": now, "exp": now + 60, "jti": str(uuid.uuid4())}
    all_claims = {**usual, **claims, **changes}
    kept = {name: value for name, value in all_claims.items() if value is not None}
    return jwt.encode({"alg": "ES256"}, kept, key, algorithms=["ES256"])


def assertion(key: ECKey = KEY, client_id: str = CLIENT_ID, **changes: Any) -> str:
    """Return a client assertion."""
    return signed({"iss": client_id, "sub": client_id}, key, **changes)


def authentication(key: ECKey = KEY, client_id: str = CLIENT_ID, **changes: Any) -> dict[str, str]:
    """Return the form fields of private_key_jwt."""
    proof = assertion(key, client_id, **changes)
    return {"client_assertion_type": ASSERTION_TYPE, "client_assertion": proof}


def subject_token(key: ECKey = KEY, **changes: Any) -> str:
    """Return what bp-auth says about a login."""
    login = {
        "iss": CLIENT_ID,
        "sub": str(uuid.uuid4()),
        "sid": str(uuid.uuid4()),
        "device": "phone-1",
        "amr": ["pwd", "otp", "face"],
        "auth_time": int(time.time()),
    }
    return signed(login, key, **changes)


async def post(oauth: PartnerProcess, path: str, form: dict[str, str]) -> Answer:
    """Send a form as bp-auth; the form may bring its own authentication."""
    own = {} if {"client_assertion", "client_id"} & form.keys() else authentication()
    return await oauth.call("POST", path, data={**own, **form})


async def actor_token(oauth: PartnerProcess) -> str:
    """Return an access token of bp-auth itself."""
    got = await post(oauth, "/token", {"grant_type": "client_credentials"})
    assert got.status == 200, got.body
    return got.body["access_token"]


async def exchange(oauth: PartnerProcess, subject: str, **changes: str | None) -> Answer:
    """Exchange a subject token; `changes` replace form fields, None removes one."""
    form: dict[str, str | None] = {
        "grant_type": EXCHANGE,
        "subject_token": subject,
        "subject_token_type": JWT,
        "actor_token_type": ACCESS_TOKEN,
        "audience": "bp-api",
        "scope": "transfers:write offline_access",
        **changes,
    }
    if "actor_token" not in form:
        form["actor_token"] = await actor_token(oauth)
    sent = {name: value for name, value in form.items() if value is not None}
    return await post(oauth, "/token", sent)


async def logged_in(oauth: PartnerProcess, **claims: Any) -> dict[str, Any]:
    """Return the answer to the exchange for a new login."""
    got = await exchange(oauth, subject_token(**claims))
    assert got.status == 200, got.body
    return got.body


async def refresh(oauth: PartnerProcess, token: str, **fields: str) -> Answer:
    """Use a refresh token."""
    form = {"grant_type": "refresh_token", "refresh_token": token, **fields}
    return await post(oauth, "/token", form)


async def introspected(oauth: PartnerProcess, token: str) -> dict[str, Any]:
    """Return what the provider says about a token."""
    got = await post(oauth, "/introspect", {"token": token})
    assert got.status == 200, got.body
    return got.body


def said(answer: Answer) -> tuple[int, str]:
    """Return status and error code of an answer."""
    return answer.status, answer.body.get("error", "")
