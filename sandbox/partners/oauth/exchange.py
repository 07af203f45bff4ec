"""The request of a token exchange (RFC 8693): which parameters and claims are acceptable.

The subject token is a JWT that the client signs about a customer's login, the actor token is the
client's own access token. Pure: signatures, ids and expiry are checked before.
"""

import uuid
from collections.abc import Mapping
from typing import Any

from sandbox.partners.oauth.assertions import AssertionRefused, number, text
from sandbox.partners.oauth.refusals import OauthError, invalid_request

GRANT = "urn:ietf:params:oauth:grant-type:token-exchange"
JWT = "urn:ietf:params:oauth:token-type:jwt"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"
REFRESH_TOKEN = "urn:ietf:params:oauth:token-type:refresh_token"
METHODS_MAX = 8

FIXED = {"subject_token_type": JWT, "actor_token_type": ACCESS_TOKEN}


def require_parameters(form: Mapping[str, str], audience: str) -> None:
    """Raise OauthError for a missing parameter, an unknown type, or a target that is not ours."""
    for name, value in FIXED.items():
        if form.get(name) != value:
            raise invalid_request(f"{name} must be {value}")
    for name in ("subject_token", "actor_token"):
        if name not in form:
            raise invalid_request(f"{name} is required")
    wanted = form.get("requested_token_type", ACCESS_TOKEN)
    if wanted not in (ACCESS_TOKEN, REFRESH_TOKEN):
        raise invalid_request("requested_token_type is not supported")
    if form.get("audience", audience) != audience or "resource" in form:
        raise OauthError("invalid_target", f"the only audience is {audience}; omit resource")


def require_actor(claims: Mapping[str, Any] | None, client_id: str, issuer: str) -> None:
    """Raise OauthError unless the verified claims are of the client's own access token."""
    own = {"sub": client_id, "client_id": client_id, "aud": issuer}
    if claims is None or any(claims.get(name) != value for name, value in own.items()):
        raise invalid_request("actor_token must be a valid access token of the client itself")


def login_of(claims: Mapping[str, Any], latest_auth_time: float) -> dict[str, Any]:
    """Return subject, sid, device, amr and auth_time of a subject token, or raise OauthError."""
    try:
        auth_time = number(claims, "auth_time")
        if auth_time > latest_auth_time:
            raise AssertionRefused("auth_time is in the future")
        return {
            "subject": _customer(claims),
            "sid": text(claims, "sid"),
            "device": text(claims, "device", may_be_empty=True),
            "amr": _methods(claims),
            "auth_time": int(auth_time),
        }
    except AssertionRefused as error:
        raise invalid_request(f"subject_token is refused: {error}") from error


def _customer(claims: Mapping[str, Any]) -> str:
    try:
        return str(uuid.UUID(text(claims, "sub")))
    except ValueError as error:
        raise AssertionRefused("sub must be a customer's UUID") from error


def _methods(claims: Mapping[str, Any]) -> tuple[str, ...]:
    value = claims.get("amr")
    if not isinstance(value, list) or not 1 <= len(value) <= METHODS_MAX:
        raise AssertionRefused(f"amr must be a list of 1 to {METHODS_MAX} methods")
    return tuple(text({"amr": method}, "amr") for method in value)
