"""Passwords: changed by the owner, reset through the stored telephone, refused when weak."""

from dataclasses import replace
from typing import Any

import pytest

from ops.waiting import until
from sandbox.app import App
from sandbox.seed import cluster, logins
from sandbox.seed.people import Person
from tests.rigs.logins import (
    another,
    asked,
    begun,
    change,
    end_resend_wait,
    ends,
    forgot,
    pushed,
    require_done,
    require_refused,
    reset,
    second_phone,
)
from tests.rigs.running_bank import Answer, Bank, Customer

pytestmark = pytest.mark.judged_with_its_module

NEW = "seven purple tugboats"
LONG = "the tide comes in and the tide goes out, and all the boats of the harbour rise "
"""79 characters: bcrypt alone would see 72 of them."""


async def test_a_change_ends_the_other_sessions_and_not_the_own_one(
    bank: Bank, ana: Customer, logged_in: App
) -> None:
    tablet = await second_phone(bank, ana)
    wrong = await change(logged_in, "not my password", NEW)
    require_refused(wrong, 401, "CREDENTIALS_INVALID")
    require_done(await change(logged_in, logged_in.identity.password, NEW))
    await ends(tablet)
    require_refused(await tablet.refresh(), 401, "REFRESH_TOKEN_INVALID")
    assert (await logged_in.get("/v1/accounts")).status == 200
    require_done(await logged_in.refresh())
    require_refused(await tablet.login(), 401, "CREDENTIALS_INVALID")
    require_done(await tablet.login(password=NEW))
    await pushed(bank, ana, "PASSWORD_CHANGED")


async def test_a_reset_replaces_the_password_and_ends_all_sessions(
    bank: Bank, ana: Customer, logged_in: App
) -> None:
    session_id, code = await forgot(logged_in)
    require_done(await reset(logged_in, session_id, code, NEW))
    await ends(logged_in)
    require_refused(await logged_in.refresh(), 401, "REFRESH_TOKEN_INVALID")
    require_refused(await logged_in.login(), 401, "CREDENTIALS_INVALID")
    again = await reset(logged_in, session_id, code, LONG)
    require_refused(again, 401, "LOGIN_SESSION_INVALID")
    logged_in.identity = replace(logged_in.identity, password=NEW)
    require_done(await logged_in.log_in())
    await pushed(bank, ana, "PASSWORD_CHANGED")


async def test_a_reset_lifts_the_lock_of_wrong_passwords(app: App) -> None:
    answers = [await app.login(password=f"wrong {number}") for number in range(6)]
    require_refused(answers[-1], 429, "TRIES_EXHAUSTED")
    assert int(answers[-1].headers["Retry-After"]) > 0
    require_refused(await app.login(), 429, "TRIES_EXHAUSTED")
    require_done(await reset(app, *await forgot(app), NEW))
    require_done(await app.login(password=NEW))


async def test_the_reset_of_an_unknown_address_looks_like_any_other(app: App) -> None:
    unknown = await app.post("password:forgot", {"email": f"x{app.identity.email}"})
    known = await app.post("password:forgot", {"email": app.identity.email})
    for answer in (unknown, known):
        assert set(require_done(answer).body) == {"sessionId", "expireTime"}
    await app.code()
    for session_id in (unknown.body["sessionId"], known.body["sessionId"]):
        answer = await reset(app, session_id, "not a code", NEW)
        require_refused(answer, 401, "OTP_INVALID")
    spent = [await reset(app, unknown.body["sessionId"], "000000", NEW) for _ in range(5)]
    assert [answer.reason for answer in spent] == ["OTP_INVALID"] * 4 + ["LOGIN_SESSION_INVALID"]


async def test_a_resent_code_of_a_reset_says_nothing_about_the_account(
    bank: Bank, app: App
) -> None:
    """Neither by its answer nor by a hint of the telephone number."""
    answers: list[Answer] = []
    for email in (app.identity.email, f"x{app.identity.email}"):
        started = require_done(await app.post("password:forgot", {"email": email}))
        session = {"sessionId": started.body["sessionId"]}
        early = await app.post("otp:resend", session)
        require_refused(early, 429, "OTP_RESEND_TOO_SOON")
        await end_resend_wait(bank, session["sessionId"])
        answers.append(require_done(await app.post("otp:resend", session)))
    known, unknown = (answer.body for answer in answers)
    assert known.keys() == unknown.keys()
    assert known.get("phoneHint", "") == unknown.get("phoneHint", "") == ""


async def test_a_code_of_a_reset_that_was_sent_again_replaces_the_first(
    bank: Bank, app: App
) -> None:
    session_id, first = await forgot(app)
    before = len(await app.texts())
    await end_resend_wait(bank, session_id)
    require_done(await app.post("otp:resend", {"sessionId": session_id}))
    second = await app.code(before)
    if first != second:
        require_refused(await reset(app, session_id, first, NEW), 401, "OTP_INVALID")
    require_done(await reset(app, session_id, second, NEW))


async def test_wrong_codes_of_resets_delay_no_login_and_no_reset_on_a_known_device(
    bank: Bank, ana: Customer, logged_in: App
) -> None:
    """A stranger who knows only the address cannot keep the owner out of a new telephone."""
    stranger = await App.of(bank, ana, "Stranger")
    session_id, code = await forgot(stranger)
    for _ in range(5):
        wrong = await reset(stranger, session_id, another(code), NEW)
        require_refused(wrong, 401, "OTP_INVALID")
    locked = await reset(stranger, *await forgot(stranger), NEW)
    require_refused(locked, 429, "TRIES_EXHAUSTED")
    await second_phone(bank, ana)
    require_done(await reset(logged_in, *await forgot(logged_in), NEW))


async def test_a_login_that_began_before_a_new_password_does_not_complete(
    bank: Bank, ana: Customer, logged_in: App
) -> None:
    """A thief with the old password waits at the last step while the owner changes it."""
    thief = await App.of(bank, ana, "Stranger")
    wanted = await asked(thief)
    require_done(await change(logged_in, logged_in.identity.password, NEW))
    late = await thief.answer_biometric(wanted.body["sessionId"], wanted)
    require_refused(late, 401, "LOGIN_SESSION_INVALID")
    sessions = require_done(await logged_in.get("/v1/auth/sessions")).body["sessions"]
    assert len(sessions) == 1


async def test_a_step_up_that_began_before_a_new_password_does_not_complete(
    logged_in: App,
) -> None:
    before = len(await logged_in.texts())
    started = require_done(await logged_in.begin_step_up())
    session_id = started.body["sessionId"]
    wanted = require_done(await logged_in.verify_otp(session_id, await logged_in.code(before)))
    require_done(await change(logged_in, logged_in.identity.password, NEW))
    late = await logged_in.answer_biometric(session_id, wanted)
    require_refused(late, 401, "LOGIN_SESSION_INVALID")
    require_done(await logged_in.step_up())


async def test_the_provider_ends_the_grant_of_a_session_that_a_logout_ended(
    bank: Bank, logged_in: App
) -> None:
    before = await _revocations(bank)
    require_done(await logged_in.log_out())

    async def revoked() -> bool:
        return await _revocations(bank) > before

    await until(revoked, 60, "the provider ended the grant")


async def _revocations(bank: Bank) -> int:
    state = await bank.control("oauth", "GET", "/control/state")
    return state.body["revocations"]


async def test_a_code_of_a_login_does_not_reset_and_a_code_of_a_reset_does_not_log_in(
    app: App,
) -> None:
    login_session, login_code = await begun(app)
    reset_session, reset_code = await forgot(app)
    answer = await reset(app, login_session, login_code, NEW)
    require_refused(answer, 401, "LOGIN_SESSION_INVALID")
    answer = await app.verify_otp(reset_session, reset_code)
    require_refused(answer, 401, "LOGIN_SESSION_INVALID")
    if login_code != reset_code:
        crossed = await reset(app, reset_session, login_code, NEW)
        require_refused(crossed, 401, "OTP_INVALID")
    require_done(await reset(app, reset_session, reset_code, NEW))


UNSUITABLE = [
    ("short", "1234567", "PASSWORD_UNSUITABLE"),
    ("a sequence", "qwertyuiopas", "PASSWORD_UNSUITABLE"),
    ("repeated", "abababababab", "PASSWORD_UNSUITABLE"),
    ("the bank's name", "BP-Payments-Bank-1", "PASSWORD_UNSUITABLE"),
    ("a NUL", "seven purple\0tugboats", "PASSWORD_UNSUITABLE"),
    ("long", "long " + "x1y2" * 100, "PASSWORD_UNSUITABLE"),
    ("breached", "iloveyou", "PASSWORD_BREACHED"),
    ("the e-mail address", "{email}", "PASSWORD_UNSUITABLE"),
    ("the telephone number", "{phone}", "PASSWORD_UNSUITABLE"),
]


async def test_a_weak_password_is_refused_and_the_code_of_the_reset_stays(logged_in: App) -> None:
    session_id, code = await forgot(logged_in)
    known = {"email": logged_in.identity.email, "phone": logged_in.identity.phone}
    for what, pattern, reason in UNSUITABLE:
        new = pattern.format(**known)
        refused = await change(logged_in, logged_in.identity.password, new)
        assert (what, refused.status, refused.reason) == (what, 400, reason), refused.text
        refused = await reset(logged_in, session_id, code, new)
        assert (what, refused.status, refused.reason) == (what, 400, reason), refused.text
        violations = next(d for d in refused.body["details"] if "fieldViolations" in d)
        assert violations["fieldViolations"][0]["field"] == "newPassword"
        assert new not in refused.text
    require_done(await logged_in.login())
    require_done(await reset(logged_in, session_id, code, NEW))


async def test_each_character_of_a_long_password_counts(logged_in: App) -> None:
    """bcrypt ignores what follows the 72nd byte."""
    require_done(await change(logged_in, logged_in.identity.password, LONG + "twice a day"))
    for wrong in (LONG, LONG[:72], LONG + "twice a dax", LONG + "twice a day\0", "\0"):
        answer = await logged_in.login(password=wrong)
        require_refused(answer, 401, "CREDENTIALS_INVALID")
    require_done(await logged_in.login(password=LONG + "twice a day"))


async def test_a_password_is_the_same_in_each_normal_form_of_unicode(logged_in: App) -> None:
    require_done(await change(logged_in, logged_in.identity.password, "siete ca\u00f1ones morados"))
    for typed in ("siete can\u0303ones morados", "\uff53iete ca\u00f1ones morados"):
        require_done(await logged_in.login(password=typed))
    answer = await logged_in.login(password="siete canones morados")
    require_refused(answer, 401, "CREDENTIALS_INVALID")


async def test_a_hash_of_another_cost_is_replaced_after_a_login(bank: Bank, ana: Customer) -> None:
    vault = await cluster.auth_vault(bank.where, bank.stack.home.run)
    connection = await bank.connect("bp_auth")
    try:
        person = Person(ana.user_name, "Guest Customer", ())
        await logins.plant(connection, vault, [person], with_faces=False, cost=4)
        require_done(await (await App.of(bank, ana)).login())
        cost = int(bank.where["BP_BCRYPT_COST"])

        async def replaced() -> bool:
            sql = "SELECT password_hash FROM auth.users WHERE customer_id = $1"
            stored: Any = await connection.fetchval(sql, ana.customer_id)
            return stored.startswith(b"$2b$%02d$" % cost)

        await until(replaced, 30, "the hash has the bank's cost")
    finally:
        await connection.close()
    require_done(await (await App.of(bank, ana)).login())
