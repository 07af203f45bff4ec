"""Secrets and personal data are removed from the texts of a report."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from ops.bpctl.mesh.redaction import REMOVED, recent, redacted

SECRETS = (
    "-----BEGIN PRIVATE KEY-----\nMIGHAgEA\n-----END PRIVATE KEY-----",
    "-----BEGIN EC PRIVATE KEY-----\nMIGHAgEA",
    "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl",
    "hvs.CAESIJ2ZkMLh",
    "ana.perez@example.com",
    "+15550100001",
)


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("text", ['{{"x": "{}"}}', "said {} at last", "{}"])
def test_a_secret_is_removed_wherever_it_is(secret: str, text: str) -> None:
    """In JSON and in a line of a log."""
    assert secret not in redacted(text.format(secret))
    assert REMOVED in redacted(text.format(secret))


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer abcdef.123",
        '"password": "open sesame"',
        "otp=123456",
        '{"full_name":"Ana Perez"}',
        "phone: 5550100001",
        r'"body":"{\"password\":\"open sesame\",\"otp\":\"123456\"}"',
        r'"password": "a\"b open sesame"',
        "{'password': 'open sesame'}",
        '"fullName": "Ana Perez", "documentNumber": 5550100001',
        '"beneficiary_name": "Ana Perez", "account_number": "5550100001"',
        "Authorization: Basic YWJjZGVm.abcdef",
        "Cookie: a=b; session=abcdef",
        "postgresql://payments:sesame@/payments",
        "GET /?email=ana.Perez%40example.com&to=%2B5550100001",
    ],
)
def test_the_value_of_a_field_with_such_a_name_is_removed(text: str) -> None:
    """Whatever the value looks like."""
    shown = redacted(text)
    for word in ("abcdef", "sesame", "123456", "Perez", "5550100001"):
        assert word not in shown


def test_a_long_word_does_not_occupy_the_command() -> None:
    """A caller of the gateway chooses paths of 16 KiB, which are in the log of failed calls."""
    for word in ("a", "a.", "eyJ-", "a@a."):
        long = word * (1_000_000 // len(word))
        assert redacted(f"/{long}!") == f"/{long}!"


def test_what_explains_the_mesh_stays() -> None:
    """Names of resources, addresses, versions, times and identities."""
    text = (
        '{"name": "service/customers/v2", "address": "127.0.0.1:20993", '
        '"version_info": "5f3a", "uri": "spiffe://bp.internal/ns/bp/sa/payments", '
        '"expiration_time": "2026-11-30T16:13:02Z", "path": "/bp/certs/payments/key.pem"}'
    )
    assert redacted(text) == text


@pytest.fixture
def time_zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Return what sets the time zone of this process for one test."""

    def chosen(zone: str) -> None:
        monkeypatch.setenv("TZ", zone)
        time.tzset()

    yield chosen
    monkeypatch.undo()
    time.tzset()


def test_a_log_is_cut_at_a_time_with_the_lines_that_belong_to_it(
    time_zone: Callable[[str], None],
) -> None:
    """Envoy, JSON and Python write the time in their own forms."""
    time_zone("UTC")
    log = "\n".join(
        (
            "no time yet",
            "[2026-11-30 16:00:00.123][1][info] old",
            "  its second line",
            '{"@timestamp":"2026-11-30T16:10:00.1Z","message":"new"}',
            "  its second line too",
            "2026-11-30 16:10:01,5 INFO new",
        )
    )
    kept = recent(log, datetime(2026, 11, 30, 16, 5, tzinfo=UTC))
    assert "old" not in kept
    assert "its second line\n" not in kept
    assert kept.count("new") == 2
    assert "its second line too" in kept
    assert recent("", datetime(2026, 1, 1, tzinfo=UTC)) == ""


@pytest.mark.parametrize("zone", ["UTC", "America/Bogota", "Asia/Tokyo"])
def test_recent_lines_are_those_of_the_last_minutes_in_every_time_zone(
    zone: str, time_zone: Callable[[str], None]
) -> None:
    """Envoy and the control plane write local times, services UTC."""
    time_zone(zone)
    now = datetime.now(UTC)
    made: list[str] = []
    for at in (now - timedelta(hours=3), now):
        local = at.astimezone()
        made += [
            f"[{local:%Y-%m-%d %H:%M:%S}.123][7][warning][main] Envoy",
            f"{local:%Y-%m-%d %H:%M:%S},123 INFO the control plane",
            f'{{"@timestamp": "{at:%Y-%m-%dT%H:%M:%S}.123456Z", "message": "a service"}}',
        ]
    assert recent("\n".join(made), now - timedelta(minutes=10)).splitlines() == made[3:]
