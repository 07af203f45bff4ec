"""Texts, amounts and ids of notifications, and the state of a delivery after an attempt."""

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import orjson
import pytest
from bp.auth.v1.auth_events_pb2 import Factor
from bp.notifications.v1.notification_pb2 import Notification, Template
from bp.notifications.v1.notifications_events_pb2 import NotificationEvent
from google.protobuf.json_format import ParseDict
from hypothesis import given
from hypothesis import strategies as st

from services.auth.state import DEFAULT_DEVICE_NAME
from services.chassis.kafka import BadMessage, Record
from services.kernel.ids import new_id
from services.kernel.money import Money
from services.kernel.state_table import IllegalTransition
from services.notifications import words
from services.notifications.mapping import to_request
from services.notifications.partners import message, understood
from services.notifications.state import (
    DELIVERY,
    Attempt,
    Outcome,
    Push,
    Retries,
    State,
    notification_id,
    settled,
)
from services.notifications.templates import TEXTS, amount_text, names_amount, render

NOW = datetime(2026, 7, 4, tzinfo=UTC)
RETRIES = Retries(first_s=1.0, s_max=300.0, expiry=timedelta(days=3))


def push(attempts: int = 0) -> Push:
    return Push(
        notification_id=uuid.UUID(int=1),
        device="device-1",
        event_id=f"{new_id()}/received",
        template="TRANSFER_RECEIVED",
        title="Dinero recibido",
        body="Recibiste 1,00 USD.",
        transfer_id="t",
        create_time=NOW,
        attempts=attempts,
        lease_end=NOW,
    )


def test_every_template_of_the_contract_has_both_languages() -> None:
    names = set(Template.keys()) - {"TEMPLATE_UNSPECIFIED"}
    assert set(TEXTS) == names
    assert all(set(texts) == {"es", "en"} for texts in TEXTS.values())


def test_a_failed_transfer_reads_transferencia_fallida_with_the_amount() -> None:
    text = render("TRANSFER_FAILED", "es", Money(123_456_78, "USD"), reason="ACH_UNAVAILABLE")
    assert text.title == "Transferencia fallida"
    assert "123.456,78 USD" in text.body
    assert "ACH_UNAVAILABLE" not in text.body


def test_a_returned_transfer_names_the_return_code() -> None:
    text = render("TRANSFER_RETURNED", "en", Money(1, "USD"), reason="R03")
    assert "USD 0.01 (R03)" in text.body


AMOUNTS = [
    (0, "0,00 USD", "USD 0.00"),
    (5, "0,05 USD", "USD 0.05"),
    (123_456, "1.234,56 USD", "USD 1,234.56"),
    (100_000_000_00, "100.000.000,00 USD", "USD 100,000,000.00"),
    (-1_50, "-1,50 USD", "USD -1.50"),
]


@pytest.mark.parametrize(("minor_units", "es", "en"), AMOUNTS)
def test_amounts_are_written_as_the_language_does(minor_units: int, es: str, en: str) -> None:
    assert amount_text(Money(minor_units, "USD"), "es") == es
    assert amount_text(Money(minor_units, "USD"), "en") == en


LOGIN_TEMPLATES = sorted(template for template in TEXTS if not names_amount(template))


def test_the_messages_about_logins_name_no_amount() -> None:
    assert LOGIN_TEMPLATES == [
        "FACTOR_ADDED",
        "FACTOR_REMOVED",
        "LOGIN_LOCKED",
        "NEW_DEVICE",
        "PASSWORD_CHANGED",
        "TOKEN_REUSED",
    ]


def _asked(template: str, cents: int = 0) -> Record:
    event = NotificationEvent()
    event.metadata.event_id = str(new_id())
    requested = event.notification_requested
    ParseDict({"customerId": str(uuid.uuid4()), "template": template}, requested)
    if cents:
        requested.amount.minor_units = cents
        requested.amount.currency_code = "USD"
    return Record("notifications", 0, 0, b"key", event.SerializeToString(), ())


@pytest.mark.parametrize("template", LOGIN_TEMPLATES)
def test_a_request_about_a_login_needs_no_amount(template: str) -> None:
    request = to_request(_asked(template))
    assert (request.template, request.amount, request.transfer_id) == (template, None, "")


def test_a_request_without_the_amount_that_its_text_names_is_refused() -> None:
    with pytest.raises(BadMessage) as refused:
        to_request(_asked("TRANSFER_FAILED"))
    assert refused.value.reason == "AMOUNT_MISSING"
    assert to_request(_asked("TRANSFER_FAILED", 5)).amount == Money(5, "USD")


LOGIN_BODIES = [
    ("NEW_DEVICE", "es", "", "Ana's iPhone", "con el dispositivo «Ana's iPhone»."),
    ("NEW_DEVICE", "en", "", "", "logged in with a device for the first time"),
    ("NEW_DEVICE", "es", "", DEFAULT_DEVICE_NAME, "con un dispositivo"),
    ("LOGIN_LOCKED", "es", "STRANGERS", "", "desde dispositivos desconocidos,"),
    ("LOGIN_LOCKED", "en", "DEVICE", "", "from one of your devices failed"),
    ("LOGIN_LOCKED", "en", "SESSION", "", "from one of your open sessions failed"),
    ("LOGIN_LOCKED", "en", "A_NEWER_SCOPE", "", "from some devices failed"),
    ("TOKEN_REUSED", "en", "", "Pixel 8", "session on the device “Pixel 8” may"),
    ("PASSWORD_CHANGED", "es", "", "", "Tu contraseña fue cambiada."),
    ("FACTOR_ADDED", "es", "AUTHENTICATOR_APP", "", "Agregaste una aplicación de autenticación a"),
    ("FACTOR_REMOVED", "en", "DEVICE_KEYS", "", "You removed your fingerprint or face from"),
    ("FACTOR_ADDED", "en", "A_NEWER_FACTOR", "", "You added a login method to"),
]


@pytest.mark.parametrize(("template", "locale", "reason", "device", "part"), LOGIN_BODIES)
def test_a_message_about_a_login_says_it_in_the_customers_language(
    template: str, locale: str, reason: str, device: str, part: str
) -> None:
    text = render(template, locale, None, reason=reason, device_name=device)
    assert part in text.body
    assert not reason or reason not in text.body


def test_every_factor_that_a_customer_can_add_has_words() -> None:
    never_added = {"FACTOR_UNSPECIFIED", "REFRESH_TOKEN"}
    assert set(words.FACTORS) == set(Factor.keys()) - never_added


@pytest.mark.parametrize(
    "name", ["Ana's iPhone", "iPhone 15 Pro Max", "SM-G998B", "Teléfono de Bo", "Пиксель 8 (2)"]
)
def test_a_plain_name_of_a_device_is_shown(name: str) -> None:
    assert words.device(name, "en") == f"the device “{name}”"


@pytest.mark.parametrize(
    "name",
    [
        "",
        "   ",
        "bank.example",
        "http://bank.example",
        "ana@bank.example",
        "call 555 0100 222",
        "call +1 (555) 010-0222",
        "line\nbreak",
        "right\u202eleft",
        "zero\u200bwidth",
        "{amount}",
        "x" * 33,
    ],
)
def test_a_name_that_could_mislead_the_customer_is_not_shown(name: str) -> None:
    assert words.device(name, "es") == "un dispositivo"


@given(st.sampled_from(LOGIN_TEMPLATES), st.sampled_from(["es", "en"]), st.text(), st.text())
def test_no_message_about_a_login_has_a_link_an_address_or_a_number(
    template: str, locale: str, reason: str, device: str
) -> None:
    body = render(template, locale, None, reason=reason, device_name=device).body
    assert not set("/@{}<>\\\n\r\0") & set(body)
    assert not any(before.strip() and after.strip() for before, after in _around_dots(body))
    assert sum(one.isdigit() for one in body) <= words.NAME_DIGITS_MAX


def _around_dots(body: str) -> list[tuple[str, str]]:
    return [(body[at - 1], body[at + 1 : at + 2]) for at, one in enumerate(body) if one == "."]


def test_a_push_about_a_login_has_no_transfer() -> None:
    about_login = replace(push(), template="NEW_DEVICE", transfer_id="")
    data = message(about_login)["message"]["data"]
    assert data == {"eventId": about_login.event_id, "template": "NEW_DEVICE"}
    assert message(push())["message"]["data"]["transferId"] == "t"


def test_the_same_event_always_has_the_same_message_and_a_suffix_another() -> None:
    event = new_id()
    assert notification_id(str(event)) == event
    derived = notification_id(f"{event}/received")
    assert derived == notification_id(f"{event}/received")
    assert derived != event
    assert derived.bytes[:8] == event.bytes[:8]
    assert derived.version == 7


@given(st.text(max_size=40))
def test_a_malformed_event_id_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"hex|badly|base 16"):
        notification_id(f"x{text}")


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("outcome", Outcome)
def test_only_a_pending_delivery_can_change(state: State, outcome: Outcome) -> None:
    if state is State.PENDING:
        assert DELIVERY.next(state, outcome).value in set(Notification.State.keys())
    else:
        with pytest.raises(IllegalTransition):
            DELIVERY.next(state, outcome)


def test_a_postponed_push_waits_twice_as_long_each_time_but_not_for_ever() -> None:
    waits = [
        settled(Attempt(push(n), Outcome.POSTPONED), NOW, RETRIES).next_attempt_time - NOW
        for n in (0, 1, 2, 30)
    ]
    assert waits == [timedelta(seconds=s) for s in (1, 2, 4, 300)]


@pytest.mark.parametrize(("age_days", "state"), [(2.9, State.PENDING), (3.0, State.UNDELIVERABLE)])
def test_a_push_that_could_not_be_sent_for_days_expires(age_days: float, state: State) -> None:
    old = replace(push(), create_time=NOW - timedelta(days=age_days))
    assert settled(Attempt(old, Outcome.POSTPONED), NOW, RETRIES).state is state
    assert settled(Attempt(old, Outcome.TAKEN), NOW, RETRIES).state is State.DELIVERED


def test_a_push_waits_as_long_as_the_channel_asks() -> None:
    attempt = Attempt(push(), Outcome.POSTPONED, retry_after_s=60)
    assert settled(attempt, NOW, RETRIES).next_attempt_time == NOW + timedelta(seconds=60)


def test_the_event_id_collapses_repeats_on_both_platforms() -> None:
    one = push()
    sent = message(one)["message"]
    assert sent["android"]["notification"]["tag"] == one.event_id
    assert sent["apns"]["headers"]["apns-collapse-id"] == one.event_id


def _error(code: str) -> bytes:
    return orjson.dumps({"error": {"details": [{"@type": "FcmError", "errorCode": code}]}})


ANSWERS = [
    (200, b'{"name": "projects/p/messages/1"}', Outcome.TAKEN),
    (404, _error("UNREGISTERED"), Outcome.DEVICE_GONE),
    (400, _error("INVALID_ARGUMENT"), Outcome.REFUSED),
    (403, _error("SENDER_ID_MISMATCH"), Outcome.REFUSED),
    (429, _error("QUOTA_EXCEEDED"), Outcome.POSTPONED),
    (503, _error("UNAVAILABLE"), Outcome.POSTPONED),
    (401, _error("UNAUTHENTICATED"), Outcome.POSTPONED),
    (404, b"no route", Outcome.POSTPONED),
    (400, b"no route", Outcome.POSTPONED),
    (400, b'{"error": {"code": 400, "status": "INVALID_ARGUMENT"}}', Outcome.REFUSED),
    (400, b'{"error": "invalid"}', Outcome.POSTPONED),
    (503, b"upstream connect error", Outcome.POSTPONED),
]


@pytest.mark.parametrize(("status", "body", "outcome"), ANSWERS)
def test_only_the_push_services_own_word_ends_a_delivery(
    status: int, body: bytes, outcome: Outcome
) -> None:
    assert understood(push(), status, {"Retry-After": "7"}, body).outcome is outcome


@pytest.mark.parametrize("asked", ["9" * 20, "9" * 400])
def test_a_channel_that_asks_for_ages_is_tried_again_the_next_day(asked: str) -> None:
    attempt = understood(push(), 429, {"Retry-After": asked}, b"")
    assert settled(attempt, NOW, RETRIES).next_attempt_time == NOW + timedelta(days=1)


@pytest.mark.parametrize("body", [b"{}", b"[]", b"null", b"whole but no JSON"])
def test_a_success_without_a_name_is_no_answer(body: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - of orjson or of ours
        understood(push(), 200, {}, body)
