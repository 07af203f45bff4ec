"""No log, event, row or value of the bank holds what a customer keeps secret."""

import secrets
import time
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest_asyncio
from pyotp.totp import TOTP

from sandbox.app import App
from sandbox.seed import faces
from tests.rigs.logins import (
    another,
    asked,
    change,
    end_grace,
    forgot,
    require_done,
    require_refused,
    reset,
)
from tests.rigs.running_bank import Bank, Customer
from tests.rigs.written_secrets import Moment, forms, forms_of_code, slice_of

AUTH = ("bp_auth",)
INVALID = "LOGIN_SESSION_INVALID"


class Spoken:
    """Everything secret that passed between one customer and the bank."""

    def __init__(self) -> None:
        self.words: dict[str, set[bytes]] = {}

    def add(self, name: str, *values: str) -> None:
        """Remember long secrets of a kind."""
        self.words[name] = self.words.get(name, set()).union(*(forms(one) for one in values))

    def add_code(self, code: str) -> None:
        """Remember a code of six digits."""
        self.words["a code"] = self.words.get("a code", set()) | forms_of_code(code)


def password(what: str) -> str:
    """Return a password that exists nowhere else."""
    return f"{what} tugboats {secrets.token_hex(8)}"


async def log_in(app: App, spoken: Spoken) -> None:
    """Log in with a wrong code first, and remember what was secret."""
    wanted = await asked(app)
    spoken.add("a login session", wanted.body["sessionId"])
    for text in await app.texts():
        spoken.add_code(text["body"][-6:])
    require_refused(await app.verify_otp(wanted.body["sessionId"], "1"), 401, INVALID)
    done = require_done(await app.answer_biometric(wanted.body["sessionId"], wanted))
    for name in ("accessToken", "refreshToken", "deviceToken"):
        spoken.add(name, done.body[name], done.body[name].rpartition(".")[2])


async def fail(app: App, spoken: Spoken) -> None:
    """Send wrong passwords, codes and tokens."""
    wrong = password("wrong")
    spoken.add("a wrong password", wrong)
    await app.login(password=wrong)
    await app.login(email=f"nobody-{app.identity.email}", password=wrong)
    started = require_done(await app.login())
    code = await app.code()
    await app.verify_otp(started.body["sessionId"], another(code))
    spoken.add_code(another(code))
    garbage = secrets.token_urlsafe(32)
    spoken.add("a forged token", garbage)
    await app.refresh(garbage)
    await app.bank.call("GET", "/v1/accounts", garbage)
    await app.verify_otp(garbage, garbage[:20])


async def enrol(app: App, spoken: Spoken) -> None:
    """Set up an authenticator app, and use a recovery code."""
    token = app.phone.access_token
    offered = require_done(await app.post("totp", {}, token=token)).body
    spoken.add("the app's secret", offered["secret"])
    code = TOTP(offered["secret"]).at(int(time.time()))
    spoken.add_code(code)
    done = require_done(await app.post("totp:confirm", {"otp": code}, token=token))
    codes = done.body["recoveryCodes"]
    spoken.add("a recovery code", *codes, *(one.replace("-", "") for one in codes))
    started = require_done(await app.login()).body["sessionId"]
    require_done(await app.verify_otp(started, codes[0], method="RECOVERY_CODE"))
    spoken.add("a login session", started)


async def refresh(app: App, bank: Bank, spoken: Spoken) -> None:
    """Refresh, and use an old token again."""
    old = app.phone.refresh_token
    done = require_done(await app.refresh())
    spoken.add("a refreshed token", done.body["accessToken"], done.body["refreshToken"])
    require_done(await app.refresh(old))
    await end_grace(bank, old)
    require_refused(await app.refresh(old), 401, "REFRESH_TOKEN_REUSED")


async def reset_password(app: App, spoken: Spoken) -> None:
    """Reset a forgotten password."""
    new = password("new")
    spoken.add("a password", new)
    session_id, code = await forgot(app)
    spoken.add("a reset", session_id)
    spoken.add_code(code)
    require_done(await reset(app, session_id, code, new))
    app.identity = replace(app.identity, password=new)


async def change_password(app: App, spoken: Spoken) -> None:
    """Change the password."""
    new = password("changed")
    spoken.add("a password", new)
    require_done(await change(app, app.identity.password, new))
    app.identity = replace(app.identity, password=new)


@pytest_asyncio.fixture
async def moment(bank: Bank) -> AsyncIterator[Moment]:
    """The moment before the customer says anything secret."""
    yield await Moment.now(bank)


async def test_a_whole_life_of_logins_writes_no_secret(
    bank: Bank, moment: Moment, ana: Customer, app: App
) -> None:
    spoken = Spoken()
    await log_in(app, spoken)
    await change_password(app, spoken)
    await fail(app, spoken)
    require_done(await app.register_key())
    await enrol(app, spoken)
    await refresh(app, bank, spoken)
    await reset_password(app, spoken)
    pictures = [faces.picture(app.face, pose=pose) for pose in range(3)]
    spoken.words["a picture"] = set().union(*(forms(slice_of(one)) for one in pictures))
    await bank.pushed(ana, 4)
    assert not await moment.written(spoken.words)


async def test_auth_writes_neither_address_nor_telephone_number(
    bank: Bank, moment: Moment, ana: Customer, app: App
) -> None:
    """The customer's own record in bp_customers has them; that database is not searched."""
    await log_in(app, Spoken())
    await fail(app, Spoken())
    await forgot(app)
    await bank.pushed(ana, 1)
    personal = {
        "the e-mail address": forms(app.identity.email),
        "the telephone number": forms(app.identity.phone) | forms(app.identity.phone[1:]),
    }
    assert not await moment.written(personal, AUTH)


async def test_the_search_finds_what_is_written_in_each_kind_of_place(
    bank: Bank, moment: Moment, ana: Customer, app: App
) -> None:
    """Without this, a search that reads nothing would prove that nothing leaks."""
    require_done(await app.log_in())
    fault = await bank.fault("sms", kind="http_5xx")
    failed = await app.login()
    await bank.control("sms", "DELETE", f"/control/faults/{fault}")
    require_refused(failed, 503, "DEPENDENCY_UNAVAILABLE")
    # A success ends the series of failures, which would otherwise open the circuit breaker.
    require_done(await app.login())
    await bank.pushed(ana, 1)
    public = {
        "customer": forms(str(ana.customer_id)),
        "request": forms(failed.headers["X-Request-Id"]),
    }
    found = await moment.written(public)
    for place in (
        "customer in topic auth-events",
        "customer in topic audit-logs",
        "customer in Valkey b'family:",
        "customer in bp_auth auth.users",
        "customer in bp_customers",
        "request in gateway.log",
        "request in auth-sidecar.log",
    ):
        assert any(one.startswith(place) for one in found), (place, found)
