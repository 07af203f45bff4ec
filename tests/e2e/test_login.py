"""A customer logs in with three factors, and the tokens work at every service until they end."""

import asyncio
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from ops.waiting import until
from sandbox.app import App
from services.auth.settings import AuthSettings
from tests.rigs.logins import (
    READS,
    asked,
    begun,
    claims,
    delete,
    end_resend_wait,
    ends,
    event_names,
    pushed,
    require_done,
    require_refused,
    second_phone,
)
from tests.rigs.running_bank import Bank, Customer

pytestmark = pytest.mark.judged_with_its_module

TOKEN_S = 600
LOGIN_SESSION = timedelta(minutes=5)
FIRST_WAIT_S: int = AuthSettings.model_fields["otp_resend_first_s"].default


async def test_password_code_and_face_give_a_token_that_pays(
    bank: Bank, ana: Customer, app: App
) -> None:
    begin = datetime.now(UTC)
    started = require_done(await app.login())
    expire_time = datetime.fromisoformat(started.body["expireTime"])
    assert begin <= expire_time - LOGIN_SESSION <= datetime.now(UTC)
    assert (started.body["requireMFA"], started.body["methods"]) == (True, ["SMS"])
    assert started.body["phoneHint"] == app.identity.phone[-2:]
    wanted = require_done(await app.verify_otp(started.body["sessionId"], await app.code()))
    assert (wanted.body["biometricMethod"], bool(wanted.body["livenessSessionId"])) == (
        "FACE",
        True,
    )
    assert wanted.body["expireTime"] == started.body["expireTime"], "no step extends the session"
    done = require_done(await app.answer_biometric(started.body["sessionId"], wanted))
    assert (done.body["tokenType"], done.body["expiresIn"]) == ("Bearer", TOKEN_S)
    assert done.body["device"]["deviceName"] == "Ana's phone"
    said = claims(app.phone.access_token)
    assert (said["sub"], said["amr"]) == (str(ana.customer_id), ["pwd", "sms", "face", "mfa"])
    assert said["device"] == done.body["device"]["deviceId"]
    paid = await bank.pay(replace(ana, token=app.phone.access_token))
    assert paid.body["state"] == "SUBMITTED", paid.text


async def test_a_token_of_a_login_works_at_every_service(logged_in: App) -> None:
    statuses = {name: (await logged_in.get(path)).status for name, path in READS.items()}
    assert statuses == dict.fromkeys(READS, 200) | {"payments": 404, "transfers": 404}


async def test_a_registered_key_replaces_the_picture(logged_in: App) -> None:
    made = require_done(await logged_in.register_key())
    assert (made.body["hasKey"], made.body["current"]) == (True, True)
    first = logged_in.phone.device_token
    wanted = await asked(logged_in)
    assert wanted.body["biometricMethod"] == "DEVICE_KEY"
    done = await logged_in.answer_biometric(wanted.body["sessionId"], wanted)
    require_done(done)
    assert "deviceToken" not in done.body or not done.body["deviceToken"]
    assert logged_in.phone.device_token == first
    assert claims(logged_in.phone.access_token)["amr"] == ["pwd", "sms", "hwk", "mfa"]


async def test_a_telephone_with_a_key_may_still_send_a_picture(logged_in: App) -> None:
    require_done(await logged_in.register_key())
    wanted = await asked(logged_in, biometricMethod="FACE")
    require_done(await logged_in.answer_biometric(wanted.body["sessionId"], wanted))


async def test_a_new_device_is_pushed_and_a_known_one_is_not(
    bank: Bank, ana: Customer, logged_in: App
) -> None:
    message = await pushed(bank, ana, "NEW_DEVICE")
    assert "Ana's phone" in message["notification"]["body"]
    require_done(await logged_in.log_in())
    require_done(await logged_in.register_key())
    await pushed(bank, ana, "FACTOR_ADDED")
    about = [one["data"] for one in await bank.pushes(ana)]
    assert len({one["eventId"] for one in about if one["template"] == "NEW_DEVICE"}) == 1


async def test_two_parallel_biometric_calls_make_one_session(app: App) -> None:
    """Of two calls with the same right picture, one gets the tokens. Its answer may be repeated."""
    wanted = await asked(app)
    session_id = wanted.body["sessionId"]
    await app.show_face(wanted.body["livenessSessionId"])
    answers = await asyncio.gather(*(app.send_face(session_id) for _ in range(2)))
    done = [answer for answer in answers if answer.status == 200]
    assert len({answer.body["accessToken"] for answer in done}) == 1
    for answer in answers:
        if answer not in done:
            require_refused(answer, 401, "LOGIN_SESSION_INVALID")
    sessions = require_done(await app.get("/v1/auth/sessions")).body["sessions"]
    devices = require_done(await app.get("/v1/auth/devices")).body["devices"]
    assert (len(sessions), len(devices)) == (1, 1)


async def test_another_code_must_wait_and_replaces_the_first(bank: Bank, app: App) -> None:
    session_id, first = await begun(app)
    early = await app.post("otp:resend", {"sessionId": session_id})
    require_refused(early, 429, "OTP_RESEND_TOO_SOON")
    assert 0 < int(early.headers["Retry-After"]) <= FIRST_WAIT_S + 1
    await end_resend_wait(bank, session_id)
    sent = require_done(await app.post("otp:resend", {"sessionId": session_id}))
    assert sent.body["phoneHint"] == app.identity.phone[-2:]
    second = await app.code(after=1)
    if second != first:
        require_refused(await app.verify_otp(session_id, first), 401, "OTP_INVALID")
    require_done(await app.verify_otp(session_id, second))


async def test_each_further_code_waits_twice_as_long(bank: Bank, app: App) -> None:
    session_id, _ = await begun(app)
    waits: list[int] = []
    for _ in range(2):
        early = await app.post("otp:resend", {"sessionId": session_id})
        waits.append(int(early.headers["Retry-After"]))
        await end_resend_wait(bank, session_id)
        require_done(await app.post("otp:resend", {"sessionId": session_id}))
    assert FIRST_WAIT_S < waits[1] <= 2 * FIRST_WAIT_S + 1


async def test_logout_ends_the_token_at_every_service_and_its_refresh(logged_in: App) -> None:
    require_done(await logged_in.log_out())
    for path in READS.values():
        require_refused(await ends(logged_in, path), 401, "UNAUTHENTICATED")
    require_refused(await logged_in.refresh(), 401, "REFRESH_TOKEN_INVALID")


async def test_a_customer_sees_sessions_by_pages_and_ends_one(
    bank: Bank, ana: Customer, logged_in: App
) -> None:
    tablet = await second_phone(bank, ana)
    first = require_done(await logged_in.get("/v1/auth/sessions?pageSize=1")).body
    following = f"/v1/auth/sessions?pageSize=1&pageToken={first['nextPageToken']}"
    second = require_done(await logged_in.get(following)).body
    names = [one["deviceName"] for one in (*first["sessions"], *second["sessions"])]
    assert names == ["Tablet", "Ana's phone"]
    assert not second.get("nextPageToken")
    assert second["sessions"][0]["current"]
    other = first["sessions"][0]["sessionId"]
    assert other == claims(tablet.phone.access_token)["sid"]
    require_done(await delete(logged_in, f"/v1/auth/sessions/{other}"))
    await ends(tablet)
    require_refused(await tablet.refresh(), 401, "REFRESH_TOKEN_INVALID")
    assert (await logged_in.get("/v1/accounts")).status == 200
    again = await delete(logged_in, f"/v1/auth/sessions/{other}")
    require_refused(again, 404, "SESSION_NOT_FOUND")


async def test_a_removed_device_is_logged_out_and_unknown(
    bank: Bank, ana: Customer, logged_in: App
) -> None:
    tablet = await second_phone(bank, ana)
    listed = require_done(await logged_in.get("/v1/auth/devices?pageSize=1")).body
    assert listed["devices"][0]["deviceName"] == "Tablet"
    following = f"/v1/auth/devices?pageSize=1&pageToken={listed['nextPageToken']}"
    rest = require_done(await logged_in.get(following)).body
    assert [(one["deviceName"], one["current"]) for one in rest["devices"]] == [
        ("Ana's phone", True)
    ]
    path = f"/v1/auth/devices/{listed['devices'][0]['deviceId']}"
    require_done(await delete(logged_in, path))
    await ends(tablet)
    require_refused(await tablet.refresh(), 401, "REFRESH_TOKEN_INVALID")
    require_refused(await delete(logged_in, path), 404, "DEVICE_NOT_FOUND")
    known = require_done(await tablet.log_in())
    assert known.body["deviceToken"], "the removed device is a new one"
    assert (await event_names(bank, ana)).count("device_removed") == 1


async def test_a_customer_cannot_end_the_session_or_device_of_another(
    bank: Bank, logged_in: App
) -> None:
    eve = await second_phone(bank, await bank.customer(), "Eve's phone")
    said = claims(logged_in.phone.access_token)
    foreign = await delete(eve, f"/v1/auth/sessions/{said['sid']}")
    require_refused(foreign, 404, "SESSION_NOT_FOUND")
    foreign = await delete(eve, f"/v1/auth/devices/{said['device']}")
    require_refused(foreign, 404, "DEVICE_NOT_FOUND")
    assert (await logged_in.get("/v1/accounts")).status == 200


async def test_a_page_token_of_another_list_or_customer_is_refused(
    bank: Bank, ana: Customer, logged_in: App
) -> None:
    await second_phone(bank, ana)
    eve = await second_phone(bank, await bank.customer(), "Eve's phone")
    page = require_done(await logged_in.get("/v1/auth/sessions?pageSize=1")).body["nextPageToken"]
    for app, path in ((logged_in, "devices"), (eve, "sessions")):
        answer = await app.get(f"/v1/auth/{path}?pageToken={page}")
        require_refused(answer, 400, "PAGE_TOKEN_INVALID")


async def test_a_step_up_gives_a_newer_token_and_keeps_the_refresh_token(logged_in: App) -> None:
    before, refresh_token = claims(logged_in.phone.access_token), logged_in.phone.refresh_token
    await _next_second(before["auth_time"])
    sent = len(await logged_in.texts())
    started = await logged_in.begin_step_up()
    session_id = require_done(started).body["sessionId"]
    wanted = require_done(await logged_in.verify_otp(session_id, await logged_in.code(sent)))
    done = require_done(await logged_in.answer_biometric(session_id, wanted))
    assert not done.body.get("refreshToken")
    after = claims(logged_in.phone.access_token)
    assert (after["sid"], after["device"]) == (before["sid"], before["device"])
    assert after["auth_time"] > before["auth_time"]
    assert after["amr"] == ["sms", "face", "mfa"]
    assert logged_in.phone.refresh_token == refresh_token
    require_done(await logged_in.refresh())


async def _next_second(unix_s: int) -> None:
    """Wait for the second after a time: auth_time has whole seconds."""

    async def later() -> bool:
        return time.time() >= unix_s + 1

    await until(later)


async def test_a_step_up_of_an_ended_session_gives_no_token(bank: Bank, logged_in: App) -> None:
    sent = len(await logged_in.texts())
    started = await logged_in.begin_step_up()
    session_id = require_done(started).body["sessionId"]
    wanted = require_done(await logged_in.verify_otp(session_id, await logged_in.code(sent)))
    require_done(await logged_in.log_out())
    answer = await logged_in.answer_biometric(session_id, wanted)
    require_refused(answer, 401, "LOGIN_SESSION_INVALID")
