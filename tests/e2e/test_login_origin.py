"""Foreign sites cannot log their visitors in, and no message shows what a stranger typed."""

from typing import Any
from urllib.parse import urlencode

import pytest

from lab.fuzz.log_leaks import find_leaks
from sandbox.app import ORIGIN, App
from tests.rigs.logins import (
    asked,
    begun,
    forgot,
    pushed,
    require_done,
    require_refused,
)
from tests.rigs.running_bank import Bank, Customer

pytestmark = pytest.mark.judged_with_its_module

SITES = ["https://evil.example", "null", f"{ORIGIN}.evil.example", "http://app.bp.example"]


def credentials(app: App) -> dict[str, Any]:
    """Return the right e-mail address and password."""
    return {"email": app.identity.email, "password": app.identity.password}


async def test_a_foreign_site_cannot_log_its_visitor_in(app: App) -> None:
    """Login CSRF: a visitor who does not notice would use the attacker's account."""
    for site in SITES:
        headers = {"Origin": site}
        answer = await app.bank.call(
            "POST", "/v1/auth/login", body=credentials(app), headers=headers
        )
        require_refused(answer, 403, "ORIGIN_FORBIDDEN")
        assert "access-control-allow-origin" not in answer.headers
    assert not await app.texts()


async def test_the_banks_own_site_may_log_in_and_read_the_answer(app: App) -> None:
    headers = {"Origin": ORIGIN}
    for body, status in ((credentials(app), 200), (credentials(app) | {"password": "wrong"}, 401)):
        answer = await app.bank.call("POST", "/v1/auth/login", body=body, headers=headers)
        assert answer.status == status, answer.text
        assert answer.headers["access-control-allow-origin"] == ORIGIN
        assert "access-control-allow-credentials" not in answer.headers


async def test_a_form_of_any_site_is_no_login(app: App) -> None:
    """A browser sends a form without asking the bank first, so the bank reads no forms."""
    for kind in ("application/x-www-form-urlencoded", "text/plain", "multipart/form-data"):
        answer = await app.bank.call(
            "POST",
            "/v1/auth/login",
            data=urlencode(credentials(app)).encode(),
            headers={"Content-Type": kind},
        )
        require_refused(answer, 415, "UNSUPPORTED_MEDIA_TYPE")
    assert not await app.texts()


INJECTED = "Sms-Injected: gotcha-7731"
TAILS = [f"\r\n{INJECTED}", f"\n\n{INJECTED}", f"\0{INJECTED}", f"\u2028{INJECTED}", INJECTED * 9]


async def test_what_a_stranger_types_reaches_no_message_and_no_log(bank: Bank, app: App) -> None:
    before = len(await app.texts())
    session_id, code = await begun(app)
    await forgot(app)
    for tail in TAILS:
        answers = [
            await app.login(email=app.identity.email + tail),
            await app.login(password=app.identity.password + tail),
            await app.post("password:forgot", {"email": app.identity.email + tail}),
            await app.verify_otp(session_id, (code + tail)[:64]),
            await app.post("otp:resend", {"sessionId": (session_id + tail)[:128]}),
        ]
        assert {answer.status for answer in answers} <= {200, 400, 401, 429}
        assert not any("gotcha" in f"{a.text}{dict(a.headers)}" for a in answers)
    texts = await app.texts()
    assert len(texts) == before + 2
    assert all(len(text["body"].splitlines()) == 2 for text in texts)
    assert not any("gotcha" in str(text) for text in texts)
    assert not find_leaks(bank.stack, [INJECTED, "gotcha-7731"])


NAMES = {
    "link": "https://evil.example/bp",
    "host": "evil.example",
    "number": "Call +1 900 555 0123",
    "lines": "Phone\r\nSubject: gotcha-7731",
    "reversed": "Ana\u202etset",
    "long": "x" * 64,
}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
async def test_a_malicious_name_of_a_device_is_not_in_the_push(
    bank: Bank, ana: Customer, app: App, name: str
) -> None:
    """An attacker chooses the name, and the customer trusts a message of the bank."""
    app.phone.device_name = name
    done = await app.log_in()
    if done.status == 400:
        require_refused(done, 400, "INVALID_ARGUMENT")
        return
    require_done(done)
    message = await pushed(bank, ana, "NEW_DEVICE")
    assert "un dispositivo" in message["notification"]["body"]
    assert name not in str(message)
    assert not find_leaks(bank.stack, [name.splitlines()[-1]])


async def test_a_name_that_is_too_long_is_a_bad_request(app: App) -> None:
    wanted = await asked(app)
    await app.show_face(wanted.body["livenessSessionId"])
    app.phone.device_name = "x" * 65
    answer = await app.send_face(wanted.body["sessionId"])
    require_refused(answer, 400, "INVALID_ARGUMENT")
    app.phone.device_name = "x" * 64
    require_done(await app.send_face(wanted.body["sessionId"]))
