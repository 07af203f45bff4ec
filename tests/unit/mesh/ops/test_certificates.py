"""Certificates of a proxy: what Envoy says, compared with the files."""

from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ops.bpctl.mesh import certificates
from ops.bpctl.mesh.certificates import Certificate

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
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


def _pem(serial: int) -> bytes:
    """Return an authority of one day."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    made = x509.CertificateBuilder(name, name, key.public_key(), serial, NOW, NOW + DAY)
    return made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def test_a_secret_that_envoy_has_read_and_cannot_use_has_a_row() -> None:
    """Envoy's connections keep the good authority, and only the next edit would be refused."""
    used = [Certificate(7, (), NOW, authority=True), one(1)]
    files = {"good": _pem(7), "more": _pem(7) + _pem(8), "other": _pem(8)}
    broken = {"garbage": b"x", "empty": b""}
    found = {name: certificates.first_serial(pem) for name, pem in (files | broken).items()}
    rows = certificates.unusable("payments", found, used)
    assert {row["certificate"]: row["state"] for row in rows} == {
        "secret other": "not used",
        "secret garbage": "unreadable",
        "secret empty": "unreadable",
    }
    assert all(certificates.is_alarming(row) for row in rows)


def test_an_authority_has_the_name_of_its_secret() -> None:
    """A proxy has an authority for each partner, and none of them has a name of its own."""
    known, unknown = (Certificate(each, (), NOW + DAY, authority=True) for each in (7, 8))
    rows = certificates.rows("payments", [known, unknown], [], NOW, {"fraud-cacert": 7})
    assert [row["certificate"] for row in rows] == ["authority fraud-cacert", "authority"]


def test_what_envoy_has_read_is_in_its_dump() -> None:
    """A secret has an authority or a certificate with a key."""
    source = {"inline_bytes": "cGVt"}
    authority = {"validation_context": {"trusted_ca": source}}
    certificate = {"tls_certificate": {"certificate_chain": source}}
    assert [certificates.loaded(each) for each in (authority, certificate, {})] == [
        b"pem",
        b"pem",
        b"",
    ]
