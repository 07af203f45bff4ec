"""A new customer's app, and direct access to what the bank stored about its logins.

Each app calls from an address of its own. Auth counts the wrong tries of an address, so tests that
share an address would refuse each other's tries.
"""

import base64
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest_asyncio
from bp.auth.v1.auth_events_pb2 import AuthEvent
from redis.asyncio import Redis

from lab.fuzz.addresses import unused_address
from lab.fuzz.rpcs import reasons
from ops.provision.valkey import OPERATOR, password
from ops.waiting import until
from sandbox.app import READS, App
from services.auth.login_sessions import session_digest, session_key
from services.auth.refresh import token_digest
from tests.rigs.running_bank import Answer, Bank, Customer


@pytest_asyncio.fixture
async def ana(bank: Bank) -> Customer:
    """A new customer with a balance."""
    return await bank.customer()


@pytest_asyncio.fixture
async def app(bank: Bank, ana: Customer) -> App:
    """Ana's app on a telephone that never logged in, with an address of its own."""
    await bank.call_from(unused_address())
    return await App.of(bank, ana, "Ana's phone")


@pytest_asyncio.fixture
async def logged_in(app: App) -> App:
    """Ana's app after a login with three factors."""
    require_done(await app.log_in())
    return app


async def second_phone(bank: Bank, ana: Customer, name: str = "Tablet") -> App:
    """Return another telephone of Ana, logged in."""
    phone = await App.of(bank, ana, name)
    require_done(await phone.log_in())
    return phone


async def begun(app: App) -> tuple[str, str]:
    """Send the right password; return the login session's id and its code."""
    before = len(await app.texts())
    started = require_done(await app.login())
    return started.body["sessionId"], await app.code(before)


async def asked(app: App, **more: str) -> Answer:
    """Send two right factors; return the answer that asks for the third."""
    session_id, code = await begun(app)
    return require_done(await app.verify_otp(session_id, code, **more))


async def forgot(app: App) -> tuple[str, str]:
    """Begin the reset of a forgotten password; return its session's id and its code."""
    before = len(await app.texts())
    body = {"email": app.identity.email}
    if app.phone.device_token:
        body["deviceToken"] = app.phone.device_token
    started = require_done(await app.post("password:forgot", body))
    return started.body["sessionId"], await app.code(before)


async def reset(app: App, session_id: str, otp: str, password: str) -> Answer:
    """Set a new password with the code of a reset."""
    body = {"sessionId": session_id, "otp": otp, "newPassword": password}
    return await app.post("password:reset", body)


async def change(app: App, current: str, new: str) -> Answer:
    """Change the password with the app's token."""
    body = {"currentPassword": current, "newPassword": new}
    return await app.post("password:change", body, token=app.phone.access_token)


async def delete(app: App, path: str) -> Answer:
    """Delete something with the app's token."""
    return await app.bank.call("DELETE", path, app.phone.access_token)


async def ends(app: App, path: str = READS["auth"]) -> Answer:
    """Wait until a service refuses the app's access token; return its answer."""

    async def refused() -> Answer | None:
        answer = await app.get(path)
        return answer if answer.status == 401 else None

    return await until(refused, 30, f"{path} refuses the token")


async def pushed(bank: Bank, customer: Customer, template: str) -> dict[str, Any]:
    """Wait for a push of a template on the customer's telephone, and return it."""

    async def sent() -> dict[str, Any] | None:
        all_of_them = await bank.pushes(customer)
        return next((one for one in all_of_them if one["data"].get("template") == template), None)

    return await until(sent, 45, f"the push {template}")


async def event_names(bank: Bank, customer: Customer) -> list[str]:
    """Return the names of a customer's events in the outbox of auth, in their order."""
    sql = "SELECT payload FROM auth.event WHERE key = $1 ORDER BY id"
    rows = await bank.rows("bp_auth", sql, customer.customer_id)
    return [str(AuthEvent.FromString(row["payload"]).WhichOneof("event")) for row in rows]


def another(code: str) -> str:
    """Return a code of six digits that differs from a code."""
    return f"{(int(code) + 1) % 1_000_000:06d}"


def claims(token: str) -> dict[str, Any]:
    """Return the claims of an access token, as an app reads them."""
    part = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def require_done(answer: Answer) -> Answer:
    """Require that a call was successful, and return its answer."""
    assert answer.status == 200, answer.text
    return answer


def require_refused(answer: Answer, status: int, reason: str) -> None:
    """Require an error in JSON with a reason of the contract."""
    assert (answer.status, answer.reason) == (status, reason), answer.text
    assert answer.headers["Content-Type"].startswith("application/json")
    assert answer.body["message"]
    info = next(one for one in answer.body["details"] if "reason" in one)
    assert reason in reasons()[info["domain"]]
    assert "Traceback" not in answer.text


@asynccontextmanager
async def valkey(bank: Bank) -> AsyncGenerator[Redis]:
    """Open Valkey with the rights of an operator."""
    secret = password(bank.stack.credentials, OPERATOR)
    socket = bank.where["BP_VALKEY_SOCKET"]
    client = Redis(unix_socket_path=socket, username=OPERATOR, password=secret)
    try:
        yield client
    finally:
        await client.aclose()


async def end_grace(bank: Bank, refresh_token: str) -> None:
    """End the half minute in which a replaced refresh token returns the same new tokens."""
    async with valkey(bank) as client:
        assert await client.delete(f"refresh:{token_digest(refresh_token)}:successor") == 1


async def end_resend_wait(bank: Bank, session_id: str) -> None:
    """End the wait of a login session before its next code."""
    key = session_key(session_digest(session_id))
    async with valkey(bank) as client:
        stored = json.loads(await client.get(key) or b"")
        stored["next_send_time"] = datetime.now(UTC).isoformat()
        await client.set(key, json.dumps(stored), keepttl=True)
