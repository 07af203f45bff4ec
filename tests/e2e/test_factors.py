"""Authenticator apps and recovery codes: set up, used once, removed."""

import time
import xml.etree.ElementTree as ET

import pyotp
import pytest
from pyotp.totp import TOTP

from sandbox.app import App
from tests.rigs.logins import (
    another,
    asked,
    claims,
    delete,
    pushed,
    require_done,
    require_refused,
)
from tests.rigs.running_bank import Answer, Bank, Customer

pytestmark = pytest.mark.judged_with_its_module

SVG = "{http://www.w3.org/2000/svg}"


async def enrol(app: App) -> tuple[TOTP, list[str]]:
    """Set up an authenticator app; return it with the recovery codes."""
    offered = require_done(await app.post("totp", {}, token=app.phone.access_token))
    generator = pyotp.parse_uri(offered.body["otpauthUri"])
    assert isinstance(generator, TOTP)
    body = {"otp": code_of_step(generator, 0)}
    confirmed = await app.post("totp:confirm", body, token=app.phone.access_token)
    return generator, require_done(confirmed).body["recoveryCodes"]


def code_of_step(generator: TOTP, later: int) -> str:
    """Return the code of the current time step or a later one. The bank accepts the next one too,
    because clocks differ."""
    return generator.at(int(time.time()), counter_offset=later)


async def send(app: App, otp: str, method: str) -> Answer:
    """Log in with the password, and send a code of a method."""
    started = require_done(await app.login())
    body = {"sessionId": started.body["sessionId"], "otp": otp, "method": method}
    return await app.post("verify-otp", body)


async def test_an_authenticator_app_is_set_up_by_its_qr_code(
    bank: Bank, ana: Customer, logged_in: App
) -> None:
    offered = require_done(await logged_in.post("totp", {}, token=logged_in.phone.access_token))
    generator = pyotp.parse_uri(offered.body["otpauthUri"])
    assert isinstance(generator, TOTP)
    assert (generator.secret, generator.issuer) == (offered.body["secret"], "BP")
    assert (generator.digits, generator.interval) == (6, 30)
    assert logged_in.identity.email not in offered.body["otpauthUri"]
    picture = ET.fromstring(offered.body["qrSvg"])  # noqa: S314 - the bank's own answer
    assert {element.tag for element in picture.iter()} <= {f"{SVG}svg", f"{SVG}path", f"{SVG}g"}
    wrong = {"otp": another(code_of_step(generator, 0))}
    refused = await logged_in.post("totp:confirm", wrong, token=logged_in.phone.access_token)
    require_refused(refused, 401, "OTP_INVALID")
    right = {"otp": code_of_step(generator, 0)}
    done = await logged_in.post("totp:confirm", right, token=logged_in.phone.access_token)
    assert len(set(require_done(done).body["recoveryCodes"])) == 10
    again = await logged_in.post("totp:confirm", right, token=logged_in.phone.access_token)
    require_refused(again, 409, "TOTP_ALREADY_ENROLLED")
    second = await logged_in.post("totp", {}, token=logged_in.phone.access_token)
    require_refused(second, 409, "TOTP_ALREADY_ENROLLED")
    await pushed(bank, ana, "FACTOR_ADDED")


async def test_a_code_of_the_app_logs_in_once_and_no_text_message_is_sent(logged_in: App) -> None:
    generator, _ = await enrol(logged_in)
    texts = len(await logged_in.texts())
    started = require_done(await logged_in.login())
    assert started.body["methods"] == ["TOTP", "SMS", "RECOVERY_CODE"]
    assert not started.body.get("phoneHint")
    code = code_of_step(generator, 1)
    wanted = require_done(await logged_in.verify_otp(started.body["sessionId"], code))
    require_done(await logged_in.answer_biometric(started.body["sessionId"], wanted))
    assert claims(logged_in.phone.access_token)["amr"] == ["pwd", "otp", "face", "mfa"]
    require_refused(await send(logged_in, code, "TOTP"), 401, "OTP_INVALID")
    assert len(await logged_in.texts()) == texts


async def test_the_code_that_set_up_the_app_does_not_log_in(logged_in: App) -> None:
    offered = require_done(await logged_in.post("totp", {}, token=logged_in.phone.access_token))
    generator = TOTP(offered.body["secret"])
    code = code_of_step(generator, 0)
    confirmed = await logged_in.post(
        "totp:confirm", {"otp": code}, token=logged_in.phone.access_token
    )
    require_done(confirmed)
    require_refused(await send(logged_in, code, "TOTP"), 401, "OTP_INVALID")


async def test_a_customer_with_an_app_may_ask_for_a_text_message(
    bank: Bank, logged_in: App
) -> None:
    await enrol(logged_in)
    before = len(await logged_in.texts())
    started = require_done(await logged_in.login())
    session_id = started.body["sessionId"]
    require_done(await logged_in.post("otp:resend", {"sessionId": session_id}))
    code = await logged_in.code(before)
    require_done(await logged_in.verify_otp(session_id, code, method="SMS"))


async def test_a_recovery_code_logs_in_once(logged_in: App) -> None:
    _, codes = await enrol(logged_in)
    typed = codes[0].lower().replace("-", " ")
    wanted = require_done(await send(logged_in, typed, "RECOVERY_CODE"))
    require_done(await logged_in.answer_biometric(wanted.body["sessionId"], wanted))
    require_refused(await send(logged_in, codes[0], "RECOVERY_CODE"), 401, "OTP_INVALID")
    require_done(await send(logged_in, codes[1], "RECOVERY_CODE"))


async def test_a_removed_app_and_its_recovery_codes_are_worthless(
    bank: Bank, ana: Customer, logged_in: App
) -> None:
    _, codes = await enrol(logged_in)
    require_done(await delete(logged_in, "/v1/auth/totp"))
    for method in ("TOTP", "RECOVERY_CODE"):
        answer = await send(logged_in, codes[0], method)
        require_refused(answer, 400, "METHOD_UNAVAILABLE")
    require_refused(await delete(logged_in, "/v1/auth/totp"), 404, "TOTP_NOT_ENROLLED")
    wanted = await asked(logged_in)
    require_done(await logged_in.answer_biometric(wanted.body["sessionId"], wanted))
    await pushed(bank, ana, "FACTOR_REMOVED")


async def test_a_method_that_the_customer_lacks_is_unavailable(app: App) -> None:
    for method in ("TOTP", "RECOVERY_CODE"):
        require_refused(await send(app, "123456", method), 400, "METHOD_UNAVAILABLE")


async def test_an_app_cannot_be_confirmed_before_it_is_offered(logged_in: App) -> None:
    body = {"otp": "123456"}
    answer = await logged_in.post("totp:confirm", body, token=logged_in.phone.access_token)
    require_refused(answer, 404, "TOTP_NOT_ENROLLED")
