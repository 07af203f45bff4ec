"""The OpenID provider: tokens, key set, rotation."""

import base64
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from sandbox.partners.oauth import keys
from sandbox.partners.oauth.keys import KeyRing
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
    assert (got.body["token_type"], got.body["expires_in"]) == ("Bearer", 600)
    header, claims = await verified(oauth, got.body["access_token"])
    assert header["alg"] == "ES256"
    assert claims["sub"] == customer
    assert (claims["iss"], claims["aud"]) == (discovery["issuer"], "bp-api")
    assert claims["scope"] == "payments.write"
    assert claims["exp"] - claims["iat"] == 600
    assert uuid.UUID(claims["jti"])


async def test_client_credentials_by_basic_header_name_the_client(oauth: PartnerProcess) -> None:
    pair = f"{CLIENT['client_id']}:{CLIENT['client_secret']}"
    header = "Basic " + base64.b64encode(pair.encode()).decode()
    form = {"grant_type": "client_credentials"}
    got = await oauth.call("POST", "/token", data=form, headers={"Authorization": header})
    _, claims = await verified(oauth, got.body["access_token"])
    assert claims["sub"] == "bp-mobile"
    assert claims["scope"] == "payments.write balances.read"


async def test_only_the_partners_own_user_can_open_its_control_interface(
    oauth: PartnerProcess,
) -> None:
    socket = Path(oauth.config["control_socket"])
    assert socket.stat().st_mode & 0o777 == 0o600
    assert socket.parent.stat().st_mode & 0o077 == 0


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


@pytest.fixture
def ring(tmp_path: Path, clock: SimpleNamespace) -> KeyRing:
    """Keys of a provider whose clock the test moves."""
    assert clock
    return KeyRing(tmp_path / "keys.json")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The clock of `ring`: `now` is the time in seconds."""
    clock = SimpleNamespace(now=1e9)
    monkeypatch.setattr(keys, "time", SimpleNamespace(time=lambda: clock.now))
    return clock


def _require_published(ring: KeyRing) -> str:
    """Require that the provider signs with a key of its key set; return the key's id."""
    kid = jws.extract_compact(ring.sign({}).encode()).headers()["kid"]
    assert kid in [key["kid"] for key in ring.published()["keys"]]
    return kid


@pytest.mark.parametrize("overlap_s", [0, 1800])
def test_a_rotation_replaces_a_planned_one(
    ring: KeyRing, clock: SimpleNamespace, overlap_s: int
) -> None:
    """Otherwise the planned key would begin to sign after it has left the key set."""
    ring.rotate(lead_s=3600, overlap_s=overlap_s)
    new = ring.rotate(lead_s=0, overlap_s=overlap_s)
    for _ in range(3):
        clock.now += 1800
        assert _require_published(ring) == new.kid


def test_a_rotation_that_is_postponed_leaves_no_time_without_a_key(
    ring: KeyRing, clock: SimpleNamespace
) -> None:
    first = _require_published(ring)
    ring.rotate(lead_s=60, overlap_s=0)
    new = ring.rotate(lead_s=3600, overlap_s=0)
    for passed_s, kid in ((61, first), (3538, first), (1, new.kid)):
        clock.now += passed_s
        assert _require_published(ring) == kid


@pytest.mark.parametrize("lead_s", [0, 3600])
def test_the_key_that_remains_after_a_revocation_is_not_retired(
    ring: KeyRing, clock: SimpleNamespace, lead_s: int
) -> None:
    first = _require_published(ring)
    assert ring.revoke(ring.rotate(lead_s, overlap_s=1800).kid)
    clock.now += lead_s + 1801
    assert _require_published(ring) == first
    assert not ring.revoke(first)


def test_a_key_whose_time_has_passed_does_not_replace_a_revoked_key(
    ring: KeyRing, clock: SimpleNamespace
) -> None:
    new = ring.rotate(lead_s=0, overlap_s=1800)
    clock.now += 1801
    assert not ring.revoke(new.kid)
    assert _require_published(ring) == new.kid


def test_a_planned_key_that_remains_alone_signs_at_once_and_is_not_replaced(
    ring: KeyRing, clock: SimpleNamespace
) -> None:
    first = _require_published(ring)
    planned = ring.rotate(lead_s=3600, overlap_s=0)
    assert ring.revoke(first)
    assert _require_published(ring) == planned.kid
    ring.rotate(lead_s=3600, overlap_s=0)
    assert _require_published(ring) == planned.kid


def test_a_clock_that_is_set_back_takes_no_key_away(ring: KeyRing, clock: SimpleNamespace) -> None:
    first = _require_published(ring)
    clock.now -= 120
    assert _require_published(ring) == first
    ring.rotate(lead_s=60, overlap_s=600)
    assert _require_published(ring) == first


LIFE_S = 600
"""How long an access token lives."""
WAITS = [("wait", 700), ("wait", 200)]
changes = st.one_of(
    st.tuples(st.just("wait"), st.integers(1, 1800)),
    st.tuples(st.just("rotate"), st.sampled_from([0, 60, 3600])),
    st.tuples(st.just("revoke"), st.integers(0, 3)),
)


@given(st.lists(changes, max_size=12))
@example([("rotate", 0), ("rotate", 3600), ("wait", 1000), ("revoke", 1), *WAITS])
def test_a_key_stays_published_until_its_last_token_has_expired(
    changes: list[tuple[str, int]],
) -> None:
    """Unless it is revoked. An overlap is three times the life of a token."""
    clock, signed = SimpleNamespace(now=1e9), dict[str, float]()
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(keys, "time", SimpleNamespace(time=lambda: clock.now))
        ring = KeyRing(Path(folder) / "keys.json")
        for change, value in changes:
            if change == "wait":
                clock.now += value
            elif change == "rotate":
                ring.rotate(lead_s=value, overlap_s=3 * LIFE_S)
            elif value < len(ring.keys):
                kid = ring.keys[value].kid
                if ring.revoke(kid):
                    signed.pop(kid, None)
            signed[_require_published(ring)] = clock.now
            published = {key["kid"] for key in ring.published()["keys"]}
            alive = {kid for kid, time in signed.items() if clock.now < time + LIFE_S}
            assert alive <= published
