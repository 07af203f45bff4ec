"""Firebase Cloud Messaging: tokens for a service account's assertion, messages, Google's errors."""

import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from google.auth import crypt
from google.auth import jwt as google_jwt

from tests.contract.partners.processes import Answer, PartnerProcess, running

GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
TOKEN_URI = "https://oauth2.googleapis.com/token"
SCOPE = "https://www.googleapis.com/auth/firebase.messaging"


@pytest.fixture(scope="module")
def account(certs: Path) -> dict[str, Any]:
    return json.loads((certs / "fcm-service-account.json").read_text())


@pytest.fixture(scope="module")
async def fcm(
    certs: Path, tmp_path_factory: pytest.TempPathFactory, account: dict[str, Any]
) -> AsyncIterator[PartnerProcess]:
    public = {
        "client_email": account["client_email"],
        "private_key_id": account["private_key_id"],
        "public_key": str(certs / "fcm-service-account.pub.pem"),
    }
    project = account["project_id"]
    async with running(
        "fcm", tmp_path_factory.mktemp("fcm"), certs, project_id=project, service_account=public
    ) as partner:
        yield partner


def assertion(account: dict[str, Any], **changes: Any) -> str:
    now = int(time.time())
    claims = {
        "iss": account["client_email"],
        "aud": TOKEN_URI,
        "iat": now,
        "exp": now + 3600,
        "scope": SCOPE,
    }
    signer = crypt.RSASigner.from_service_account_info(account)
    return google_jwt.encode(signer, {**claims, **changes}).decode()


async def exchange(fcm: PartnerProcess, text: str) -> Answer:
    return await fcm.call("POST", "/token", data={"grant_type": GRANT, "assertion": text})


async def authorise(fcm: PartnerProcess, account: dict[str, Any]) -> None:
    got = await exchange(fcm, assertion(account))
    assert got.status == 200, got.body
    fcm.headers["Authorization"] = f"Bearer {got.body['access_token']}"


async def send(fcm: PartnerProcess, device: str, tag: str = "", body: str = "hi") -> Answer:
    message: dict[str, Any] = {"token": device, "notification": {"title": "BP", "body": body}}
    if tag:
        message["android"] = {"notification": {"tag": tag}}
        message["apns"] = {"headers": {"apns-collapse-id": tag}}
    path = "/v1/projects/bp-sandbox/messages:send"
    return await fcm.call("POST", path, json={"message": message})


async def test_a_message_reaches_its_device_and_a_repeat_with_the_same_tag_is_shown_once(
    fcm: PartnerProcess, account: dict[str, Any]
) -> None:
    await authorise(fcm, account)
    names = [(await send(fcm, "phone-1", tag)).body["name"] for tag in ("a", "b", "a", "")]
    assert len(set(names)) == 4
    assert all(name.startswith("projects/bp-sandbox/messages/") for name in names)
    seen = (await fcm.control("GET", "/control/messages?device=phone-1")).body
    assert seen["count"] == 4
    assert [item["id"] for item in seen["delivered"]] == names
    assert [item["id"] for item in seen["shown"]] == names[1:]


async def test_messages_and_access_tokens_outlive_kill_9(
    fcm: PartnerProcess, account: dict[str, Any]
) -> None:
    await authorise(fcm, account)
    before = (await fcm.control("GET", "/control/state")).body["messages"]
    await send(fcm, "phone-2", "a", "first")
    await fcm.restart()
    assert (await send(fcm, "phone-2", "a", "second")).status == 200
    seen = (await fcm.control("GET", "/control/messages?device=phone-2")).body
    bodies = [item["message"]["notification"]["body"] for item in seen["delivered"]]
    assert bodies == ["first", "second"]
    assert len(seen["shown"]) == 1
    assert (await fcm.control("GET", "/control/state")).body["messages"] == before + 2


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"aud": "https://elsewhere.example/token"}, "invalid_grant"),
        ({"exp": 1}, "invalid_grant"),
        ({"exp": int(time.time()) + 90_000}, "invalid_grant"),
        ({"iss": "nobody@example.com"}, "invalid_grant"),
        ({"scope": "https://www.googleapis.com/auth/drive"}, "invalid_scope"),
    ],
)
async def test_a_wrong_assertion_gets_no_token(
    fcm: PartnerProcess, account: dict[str, Any], change: dict[str, Any], error: str
) -> None:
    refused = await exchange(fcm, assertion(account, **change))
    assert (refused.status, refused.body["error"]) == (400, error)


async def test_an_assertion_altered_after_signing_gets_no_token(
    fcm: PartnerProcess, account: dict[str, Any]
) -> None:
    header, claims, _ = assertion(account).split(".")
    other = assertion(account, jti="other").split(".")[2]
    refused = await exchange(fcm, f"{header}.{claims}.{other}")
    assert refused.body["error"] == "invalid_grant"
    assert (await exchange(fcm, "not a token")).body["error"] == "invalid_grant"


@pytest.mark.parametrize(
    ("device", "status", "code"),
    [
        ("phone-gone", 404, "UNREGISTERED"),
        ("phone-invalid", 400, "INVALID_ARGUMENT"),
        ("phone-quota", 429, "QUOTA_EXCEEDED"),
        ("phone-unavailable", 503, "UNAVAILABLE"),
        ("phone-mismatch", 403, "SENDER_ID_MISMATCH"),
    ],
)
async def test_magic_devices_bring_the_errors_of_the_real_service(
    fcm: PartnerProcess, account: dict[str, Any], device: str, status: int, code: str
) -> None:
    await authorise(fcm, account)
    refused = await send(fcm, device)
    assert refused.status == refused.body["error"]["code"] == status
    assert refused.body["error"]["details"][0]["errorCode"] == code
    seen = (await fcm.control("GET", f"/control/messages?device={device}")).body
    assert seen["count"] == 0


async def test_a_send_without_a_good_access_token_is_unauthenticated(fcm: PartnerProcess) -> None:
    expired = "Bearer ya29.sandbox.1.AAAA"
    for header in ("", "Bearer wrong", expired):
        fcm.headers["Authorization"] = header
        refused = await send(fcm, "phone-1")
        assert refused.status == 401
        assert refused.body["error"]["status"] == "UNAUTHENTICATED"


async def test_an_unknown_field_is_an_invalid_argument_that_names_it(
    fcm: PartnerProcess, account: dict[str, Any]
) -> None:
    await authorise(fcm, account)
    path = "/v1/projects/bp-sandbox/messages:send"
    body = {"message": {"token": "phone-1", "data": {"n": 1}}}
    refused = await fcm.call("POST", path, json=body)
    assert refused.status == 400
    assert refused.body["error"]["details"][1]["fieldViolations"][0]["field"] == "message.data.n"


async def test_one_process_stays_small(fcm: PartnerProcess) -> None:
    # Eight MiB of these are pages of the cryptography library, which other processes share.
    assert fcm.rss_mib() < 64
