"""Each fact of AuthEvent has one builder, with the ids by which readers find it."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from bp.auth.v1.auth_events_pb2 import AuthEvent

from services.auth import events_out as out
from services.auth.state import EndCause, Factor, Session
from services.kernel.ids import new_id

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
ORIGIN = out.Origin("request-1", "trace", NOW)
ANA, DEVICE, SESSION = new_id(), new_id(), new_id()
OPEN = Session(SESSION, ANA, DEVICE, "Ana's phone", NOW, NOW, NOW)

BUILDERS: dict[str, Callable[[], out.Prepared]] = {
    "login_succeeded": lambda: out.login_succeeded(ORIGIN, ANA, SESSION, DEVICE, [Factor.PASSWORD]),
    "login_failed": lambda: out.login_failed(ORIGIN, ANA, Factor.SMS_CODE, "OTP_INVALID"),
    "login_locked": lambda: out.login_locked(ORIGIN, ANA, Factor.PASSWORD, "DEVICE", 30),
    "login_unlocked": lambda: out.login_unlocked(ORIGIN, ANA),
    "device_added": lambda: out.device_added(ORIGIN, ANA, DEVICE, "Ana's phone"),
    "device_removed": lambda: out.device_removed(ORIGIN, ANA, DEVICE),
    "token_reused": lambda: out.token_reused(ORIGIN, OPEN),
    "password_changed": lambda: out.password_changed(ORIGIN, ANA, reset=True),
    "factor_added": lambda: out.factor_added(ORIGIN, ANA, Factor.DEVICE_KEYS),
    "factor_removed": lambda: out.factor_removed(ORIGIN, ANA, Factor.AUTHENTICATOR_APP),
    "session_revoked": lambda: out.session_revoked(ORIGIN, OPEN, EndCause.LOGOUT),
}


def test_every_fact_has_a_builder() -> None:
    facts = [field.name for field in AuthEvent.DESCRIPTOR.oneofs_by_name["event"].fields]
    assert facts == list(BUILDERS)


@pytest.mark.parametrize("fact", BUILDERS)
def test_an_events_key_and_aggregate_are_its_customer(fact: str) -> None:
    event = BUILDERS[fact]()
    envelope = AuthEvent.FromString(event.payload)
    assert envelope.WhichOneof("event") == fact
    assert event.event_type == f"bp.auth.v1.{fact.title().replace('_', '')}"
    assert (event.key, event.subject, event.event_id.version) == (ANA, ANA, 7)
    metadata = envelope.metadata
    assert metadata.event_id == str(event.event_id)
    assert (metadata.aggregate_id, metadata.aggregate_version) == (str(ANA), 0)
    assert (metadata.correlation_id, metadata.customer_id) == ("request-1", str(ANA))
    assert metadata.occur_time.ToDatetime(UTC) == NOW


@pytest.mark.parametrize("name", EndCause)
def test_every_cause_of_an_end_is_in_the_event(name: EndCause) -> None:
    event = out.session_revoked(ORIGIN, OPEN, name)
    assert AuthEvent.FromString(event.payload).session_revoked.cause == name.value


@pytest.mark.parametrize("factor", Factor)
def test_every_factor_is_in_the_contract(factor: Factor) -> None:
    event = out.factor_added(ORIGIN, ANA, factor)
    assert AuthEvent.FromString(event.payload).factor_added.factor > 0


def test_an_event_without_a_customer_has_a_key_of_its_own() -> None:
    first = out.login_failed(ORIGIN, None, Factor.PASSWORD, "CREDENTIALS_INVALID")
    second = out.login_failed(ORIGIN, None, Factor.PASSWORD, "CREDENTIALS_INVALID")
    assert first.key == first.subject
    assert first.key != second.key
    assert AuthEvent.FromString(first.payload).metadata.customer_id == ""
