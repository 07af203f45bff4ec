"""Certificates of a proxy: what Envoy says, compared with the files."""

from datetime import UTC, datetime, timedelta

from ops.bpctl.mesh import certificates
from ops.bpctl.mesh.certificates import Certificate

NOW = datetime(2026, 1, 1, tzinfo=UTC)
OWN = ("spiffe://bp.internal/ns/bp/sa/payments",)


def one(serial: int, minutes: float = 60, names: tuple[str, ...] = OWN) -> Certificate:
    """Return a certificate with some minutes left."""
    return Certificate(serial, names, NOW + timedelta(minutes=minutes))


def states(used: list[Certificate], files: list[Certificate]) -> list[str]:
    """Return the state of each row."""
    return [row["state"] for row in certificates.rows("payments", used, files, NOW)]


def test_the_state_says_what_an_operator_has_to_do() -> None:
    """A predecessor is normal for a while; a certificate that is not the file's is not."""
    assert states([one(1)], [one(1)]) == ["ok"]
    assert states([one(1), one(2)], [one(2)]) == ["older", "ok"]
    assert states([one(1)], [one(2)]) == ["differs from the file"]
    assert states([one(1, minutes=9)], [one(1)]) == ["expires soon"]
    assert states([one(1, minutes=-1)], [one(1)]) == ["expired"]
    assert states([], [one(1)]) == ["not used"]
    assert states([one(3, names=("bp-client",))], [one(1)]) == ["ok", "not used"]
    authority = Certificate(9, (), NOW + timedelta(minutes=1), authority=True)
    assert states([authority, one(1)], [one(1)]) == ["expires soon", "ok"]


def test_an_answer_of_envoy_is_read_once_for_each_certificate() -> None:
    """Several contexts use one certificate."""
    cert = {
        "path": "<inline>",
        "serial_number": "1f",
        "subject_alt_names": [{"uri": OWN[0]}],
        "expiration_time": "2026-01-01T01:00:00Z",
    }
    authority = cert | {"serial_number": "2f", "subject_alt_names": []}
    context = {"cert_chain": [cert], "ca_cert": [authority]}
    found = certificates.of_envoy({"certificates": [context, context, {"cert_chain": []}]})
    assert [(each.serial, each.names, each.authority) for each in found] == [
        (0x1F, OWN, False),
        (0x2F, (), True),
    ]
    assert found[0].expires == NOW + timedelta(hours=1)


def test_the_time_left_has_two_units() -> None:
    """Minutes matter for certificates of an hour, days for authorities."""
    assert certificates.left(timedelta(minutes=42, seconds=30)) == "42 min"
    assert certificates.left(timedelta(hours=5, minutes=2)) == "5 h 2 min"
    assert certificates.left(timedelta(days=824)) == "824 days"
