"""Wrong e-mail addresses, passwords, sessions and codes: no answer says more than it must."""

import asyncio
import secrets
from typing import Any

import pytest

from sandbox.app import App
from tests.rigs.logins import (
    another,
    asked,
    begun,
    event_names,
    forgot,
    pushed,
    require_done,
    require_refused,
    reset,
    second_phone,
)
from tests.rigs.running_bank import Answer, Bank, Customer

pytestmark = pytest.mark.judged_with_its_module

VARYING = {"x-request-id", "date", "x-envoy-upstream-service-time"}
TRIES = 5


def said(answer: Answer) -> tuple[int, dict[str, str], Any]:
    """Return what an answer tells its caller: without the id of the request and the time."""
    headers = {name.lower(): value for name, value in answer.headers.items()}
    request_id = headers.get("x-request-id", "")
    text = answer.text.replace(request_id, "") if request_id else answer.text
    kept = {name: value for name, value in headers.items() if name not in VARYING}
    return answer.status, kept, text


FAILED_ATTEMPTS = "SELECT failed_attempts FROM auth.users WHERE customer_id = $1"


async def test_an_unknown_address_gets_the_answer_of_a_wrong_password(
    bank: Bank, ana: Customer, app: App
) -> None:
    wrong = await app.login(password="not my password")
    require_refused(wrong, 401, "CREDENTIALS_INVALID")
    unknown = await app.login(email=f"x{app.identity.email}")
    assert said(unknown) == said(wrong)
    assert app.identity.email not in wrong.text
    ((failed_attempts,),) = await bank.rows("bp_auth", FAILED_ATTEMPTS, ana.customer_id)
    assert failed_attempts == 1
    assert await event_names(bank, ana) == ["login_failed"]


async def test_an_unknown_address_is_locked_like_a_known_one(app: App) -> None:
    known = [await app.login(password="not my password") for _ in range(6)]
    unknown = [await app.login(email=f"x{app.identity.email}") for _ in range(6)]
    assert [answer.reason for answer in known] == ["CREDENTIALS_INVALID"] * 5 + ["TRIES_EXHAUSTED"]
    assert [answer.reason for answer in unknown] == [answer.reason for answer in known]


MALFORMED = [
    "ana",
    "@",
    "ana@",
    "@customers.example",
    "ana@@customers.example",
    "ana bell@customers.example",
    "ana@customers",
    "ana\0@customers.example",
    "ana\r\nBcc: eve@evil.example",
    "<ana@customers.example>",
    "ana@[127.0.0.1]",
    "ana\u202e@customers.example",
    "' OR 1=1 --",
]


async def test_a_malformed_address_gets_the_answer_of_a_wrong_password(app: App) -> None:
    for email in MALFORMED:
        answer = await app.login(email=email)
        assert (email, answer.status) == (email, 401), answer.text
        require_refused(answer, 401, "CREDENTIALS_INVALID")


async def test_an_address_or_password_that_is_empty_or_too_long_is_a_bad_request(app: App) -> None:
    bodies: list[dict[str, Any]] = [
        {"email": "", "password": "x"},
        {"email": app.identity.email, "password": ""},
        {"email": "a" * 321, "password": "x"},
        {"email": app.identity.email, "password": "x" * 1025},
        {"email": app.identity.email, "password": "x", "deviceToken": "x" * 129},
        {},
    ]
    for body in bodies:
        require_refused(await app.post("login", body), 400, "INVALID_ARGUMENT")


async def test_each_spelling_of_an_address_is_the_same_account(app: App) -> None:
    local, domain = app.identity.email.split("@")
    full_width = "".join(chr(ord(c) + 0xFEE0) if c.isalnum() else c for c in local)
    spellings = (
        f"{local.upper()}@{domain.upper()}",
        f"  {local}@{domain} ",
        f"{full_width}@{domain}",
        f"{local}@\uff43ustomers.example",
        f"{local}@customers\u3002example",
    )
    for email in spellings:
        assert (email, (await app.login(email=email)).status) == (email, 200)
    sent = len(await app.texts())
    require_done(await app.post("password:forgot", {"email": spellings[2]}))
    await app.code(sent)
    numbers = {text["to"] for text in await app.texts()}
    assert numbers == {app.identity.phone}


async def test_a_look_alike_address_is_another_account(app: App) -> None:
    local, domain = app.identity.email.split("@")
    for email in (
        f"{local.replace('e', chr(0x435))}@{domain}",
        f"{local}@\u0441ustomers.example",
        f"{local}+x@{domain}",
    ):
        require_refused(await app.login(email=email), 401, "CREDENTIALS_INVALID")


async def test_a_code_is_right_once_and_only_for_its_session(app: App) -> None:
    first_session, first = await begun(app)
    second_session, second = await begun(app)
    if first != second:
        crossed = await app.verify_otp(second_session, first)
        require_refused(crossed, 401, "OTP_INVALID")
    done = require_done(await app.verify_otp(second_session, second))
    lost = require_done(await app.verify_otp(second_session, second))
    assert lost.body == done.body, "an app that lost the answer gets the same one"
    other = await app.verify_otp(second_session, another(second))
    require_refused(other, 401, "LOGIN_SESSION_INVALID")
    require_done(await app.verify_otp(first_session, first))


async def test_a_code_that_is_sent_four_times_at_once_asks_for_one_face(app: App) -> None:
    """A late call must not end the session: a double tap would cost the whole login."""
    session_id, code = await begun(app)
    answers = await asyncio.gather(*(app.verify_otp(session_id, code) for _ in range(4)))
    done = [answer for answer in answers if answer.status == 200]
    # 503 while another call asks for the liveness check: the app sends the code again.
    assert {answer.status for answer in answers} <= {200, 401, 503}
    assert len({answer.body["livenessSessionId"] for answer in done}) == 1
    require_done(await app.answer_biometric(session_id, done[0]))


async def test_a_reset_that_is_sent_four_times_at_once_succeeds(app: App) -> None:
    session_id, code = await forgot(app)
    new = "seven purple tugboats"
    answers = await asyncio.gather(*(reset(app, session_id, code, new) for _ in range(4)))
    # 401 while another call resets; a call that comes after it gets its answer.
    statuses = {answer.status for answer in answers}
    assert 200 in statuses <= {200, 401}
    require_done(await app.login(password=new))


async def test_five_wrong_codes_end_the_session_and_a_new_session_gives_no_new_tries(
    app: App,
) -> None:
    session_id, code = await begun(app)
    for _ in range(TRIES):
        answer = await app.verify_otp(session_id, another(code))
        require_refused(answer, 401, "OTP_INVALID")
    late = await app.verify_otp(session_id, code)
    require_refused(late, 401, "LOGIN_SESSION_INVALID")
    fresh, right = await begun(app)
    locked = await app.verify_otp(fresh, right)
    require_refused(locked, 429, "TRIES_EXHAUSTED")
    assert int(locked.headers["Retry-After"]) > 0


async def test_a_known_telephone_has_tries_of_its_own(
    bank: Bank, ana: Customer, logged_in: App
) -> None:
    stranger = await App.of(bank, ana, "Stranger")
    session_id, code = await begun(stranger)
    for _ in range(TRIES):
        await stranger.verify_otp(session_id, another(code))
    require_done(await logged_in.log_in())
    await pushed(bank, ana, "LOGIN_LOCKED")


BAD_CODES = ["x", "12345", "1234567", "\u0661\u0662\u0663\u0664", "' OR '1'='1", "#", "0" * 64]


async def test_a_malformed_code_is_a_wrong_code_and_an_empty_one_a_bad_request(
    logged_in: App,
) -> None:
    session_id, _ = await begun(logged_in)
    for otp in BAD_CODES[:TRIES]:
        require_refused(await logged_in.verify_otp(session_id, otp), 401, "OTP_INVALID")
    session_id, code = await begun(logged_in)
    for otp in ("", "0" * 65):
        answer = await logged_in.verify_otp(session_id, otp)
        require_refused(answer, 400, "INVALID_ARGUMENT")
    for otp in BAD_CODES[TRIES:]:
        require_refused(await logged_in.verify_otp(session_id, otp), 401, "OTP_INVALID")
    require_done(await logged_in.verify_otp(session_id, code))


def forged(session_id: str) -> list[str]:
    """Return ids that look like a session's id, or that attack the store of sessions."""
    flipped = ("B" if session_id[0] == "A" else "A") + session_id[1:]
    return [
        secrets.token_urlsafe(32),
        flipped,
        session_id[:-1],
        f"{session_id}=",
        session_id.swapcase(),
        f" {session_id}",
        "*",
        f"session:{session_id}",
        "../session",
        "\u202e",
    ]


async def test_a_forged_session_id_is_invalid_at_every_step(app: App) -> None:
    session_id, code = await begun(app)
    for forgery in forged(session_id):
        answers = [
            await app.verify_otp(forgery, code),
            await app.send_face(forgery),
            await app.post("otp:resend", {"sessionId": forgery}),
            await app.post(
                "password:reset",
                {"sessionId": forgery, "otp": code, "newPassword": "seven purple tugboats"},
            ),
        ]
        for answer in answers:
            require_refused(answer, 401, "LOGIN_SESSION_INVALID")
    require_done(await app.verify_otp(session_id, code))


async def test_a_caller_cannot_choose_the_id_of_a_session(app: App) -> None:
    """Session fixation: a victim who continues a planted session would log the attacker in."""
    chosen = secrets.token_urlsafe(32)
    headers = {"Cookie": f"sessionId={chosen}", "X-BP-Session": chosen}
    credentials = {"email": app.identity.email, "password": app.identity.password}
    started = await app.bank.call("POST", "/v1/auth/login", body=credentials, headers=headers)
    assert require_done(started).body["sessionId"] != chosen
    assert "set-cookie" not in started.headers
    refused = await app.post("login", credentials | {"sessionId": chosen})
    require_refused(refused, 400, "UNKNOWN_FIELD")


async def test_the_session_of_one_customer_does_not_log_another_in(bank: Bank, app: App) -> None:
    """Eve finishes Ana's login with her own face: the bank compares it with Ana's."""
    eve = await App.of(bank, await bank.customer(), "Eve's phone")
    wanted = await asked(app)
    await eve.show_face(wanted.body["livenessSessionId"])
    answer = await eve.send_face(wanted.body["sessionId"])
    require_refused(answer, 401, "FACE_NOT_MATCHED")


async def test_the_biometric_step_comes_after_the_code(app: App) -> None:
    session_id, code = await begun(app)
    require_refused(await app.send_face(session_id), 401, "LOGIN_SESSION_INVALID")
    assertion = {"assertion": {"credentialId": "x", "clientDataJson": "x"}}
    body = {"sessionId": session_id, "biometricData": assertion}
    refused = await app.post("biometric", body)
    assert refused.status in (400, 401), refused.text
    require_done(await app.verify_otp(session_id, code))
    resent = await app.post("otp:resend", {"sessionId": session_id})
    require_refused(resent, 401, "LOGIN_SESSION_INVALID")


async def test_a_token_without_a_session_or_of_another_issuer_is_refused(
    bank: Bank, ana: Customer, logged_in: App
) -> None:
    tokens = {
        "no session": await bank.token(ana.customer_id, claims={"sid": None}),
        "a session that is no UUID": await bank.token(ana.customer_id, claims={"sid": "x"}),
        "another issuer": await bank.token(ana.customer_id, claims={"iss": "https://evil"}),
        "a refresh token": logged_in.phone.refresh_token,
        "a device token": logged_in.phone.device_token,
    }
    for what, token in tokens.items():
        answer = await bank.call("GET", "/v1/auth/sessions", token)
        assert (what, answer.status, answer.reason) == (what, 401, "UNAUTHENTICATED")


async def test_a_known_telephone_of_another_customer_is_a_stranger(
    bank: Bank, ana: Customer, logged_in: App
) -> None:
    """Eve's device token is no proof for Ana's account: her wrong tries count as a stranger's."""
    eve = await second_phone(bank, await bank.customer(), "Eve's phone")
    for _ in range(TRIES):
        wrong = await eve.login(email=logged_in.identity.email, password="not Ana's")
        require_refused(wrong, 401, "CREDENTIALS_INVALID")
    locked = await eve.login(email=logged_in.identity.email)
    require_refused(locked, 429, "TRIES_EXHAUSTED")
    require_done(await eve.login())
    require_done(await logged_in.login())
