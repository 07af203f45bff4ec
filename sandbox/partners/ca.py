"""The partners' certificate authorities: `python -m sandbox.partners.ca --out DIR`.

Each partner's server has its own authority, and different authorities issue client and server
certificates. So a wrongly issued server certificate harms only one partner. The partners that call
the bank's webhooks share an authority; the bank tells them apart by the name in the certificate.
Creates missing files and renews expiring certificates, so it can run at every start. Also makes
the Google service account that FCM knows, in Google's JSON format.
"""

import argparse
import ipaddress
import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

ACH_MEMBERS = "ach-members"
"""The clearing house's authority for the banks that call it."""
WEBHOOK_CLIENTS = "webhook-clients"
"""The authority for the partners that call the bank's webhooks."""
EARLIER_AUTHORITY = ("ca.key", "ca.pem")
VALID_DAYS = 825
RENEW_DAYS = 30
FCM_EMAIL = "push@{project}.iam.gserviceaccount.com"
REKOGNITION = "rekognition.us-east-1.amazonaws.com"
TOKEN_URI = "https://oauth2.googleapis.com/token"


@dataclass(frozen=True, slots=True)
class Leaf:
    """One certificate to issue: its file, authority, common name, alternative names and use."""

    stem: str
    issuer: str
    common_name: str
    dns: tuple[str, ...] = ()
    uri: str | None = None
    client: bool = False
    both: bool = False
    """Whether its holder is client and server, as a proxy of a mesh is."""


LEAVES = (
    Leaf("ach", "ach", "ach-network.example", ("ach-network.example",)),
    Leaf("fraud", "fraud", "fraud.example", ("fraud.example",)),
    Leaf("fcm", "fcm", "fcm.googleapis.com", ("fcm.googleapis.com", "oauth2.googleapis.com")),
    Leaf("oauth", "oauth", "oauth.example", ("oauth.example",)),
    Leaf("sms", "sms", "sms-gateway.example", ("sms-gateway.example",)),
    Leaf("rekognition", "rekognition", REKOGNITION, (REKOGNITION,)),
    Leaf("bp-client", ACH_MEMBERS, "bp-client", client=True),
    Leaf(
        "ach-webhook",
        WEBHOOK_CLIENTS,
        "ach-network.example",
        uri="spiffe://ach-network.example/webhooks",
        client=True,
    ),
    Leaf(
        "sms-webhook",
        WEBHOOK_CLIENTS,
        "sms-gateway.example",
        uri="spiffe://sms-gateway.example/webhooks",
        client=True,
    ),
)


def write_all(out: Path, project: str) -> None:
    """Create the authorities, the certificates and the service account if missing or expiring.
    Remove the authority that all partners shared in earlier versions."""
    out.mkdir(parents=True, exist_ok=True)
    for name in EARLIER_AUTHORITY:
        (out / name).unlink(missing_ok=True)
    for leaf in LEAVES:
        issue(out, leaf)
    _service_account(out, project)


def authority_file(out: Path, issuer: str) -> Path:
    """Return the file of an authority's certificate."""
    return out / f"{issuer}-ca.pem"


def issue(out: Path, leaf: Leaf) -> None:
    """Issue a certificate if it is missing, about to expire, or from another authority."""
    ca_cert, ca_key = _authority(out, leaf.issuer)
    if _is_due(out / f"{leaf.stem}.pem", ca_cert):
        _issue(out, leaf, ca_cert, ca_key)


def _authority(out: Path, issuer: str) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    cert_path = authority_file(out, issuer)
    key_path = cert_path.with_suffix(".key")
    if cert_path.exists() and key_path.exists():
        cert = x509.load_pem_x509_certificate(cert_path.read_bytes())
        key = serialization.load_pem_private_key(key_path.read_bytes(), None)
        if isinstance(key, ec.EllipticCurvePrivateKey) and not _expires_soon(cert):
            return cert, key
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(f"Partners Sandbox CA {issuer}")
    usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
    cert = (
        _builder(name, name, key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        .sign(key, hashes.SHA256())
    )
    _write_key(key_path, key)
    _write(cert_path, cert.public_bytes(serialization.Encoding.PEM), 0o644)
    return cert, key


def _issue(
    out: Path, leaf: Leaf, ca_cert: x509.Certificate, ca_key: ec.EllipticCurvePrivateKey
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    issuer_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
    usage = x509.KeyUsage(True, False, False, False, False, False, False, False, False)
    cert = (
        _builder(_name(leaf.common_name), ca_cert.subject, key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage(_uses(leaf)), critical=False)
        .add_extension(x509.SubjectAlternativeName(_names(leaf)), critical=False)
        .add_extension(issuer_id, critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    _write_key(out / f"{leaf.stem}.key", key)
    _write(out / f"{leaf.stem}.pem", cert.public_bytes(serialization.Encoding.PEM), 0o644)


def _uses(leaf: Leaf) -> list[x509.ObjectIdentifier]:
    client, server = ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH
    if leaf.both:
        return [client, server]
    return [client if leaf.client else server]


def _names(leaf: Leaf) -> list[x509.GeneralName]:
    names: list[x509.GeneralName] = [x509.DNSName(name) for name in leaf.dns]
    if leaf.uri is not None:
        names.append(x509.UniformResourceIdentifier(leaf.uri))
    if leaf.client:
        return names or [x509.DNSName(leaf.common_name)]
    loopback = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    return [*names, x509.DNSName("localhost"), loopback]


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=VALID_DAYS))
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _is_due(path: Path, ca_cert: x509.Certificate) -> bool:
    """Return whether the certificate is missing, about to expire, or from another authority."""
    if not path.exists() or not path.with_suffix(".key").exists():
        return True
    cert = x509.load_pem_x509_certificate(path.read_bytes())
    wanted = ca_cert.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    issuer = cert.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    return _expires_soon(cert) or issuer.key_identifier != wanted


def _expires_soon(cert: x509.Certificate) -> bool:
    return cert.not_valid_after_utc < datetime.now(UTC) + timedelta(days=RENEW_DAYS)


def _service_account(out: Path, project: str) -> None:
    path = out / "fcm-service-account.json"
    if path.exists() and json.loads(path.read_text())["project_id"] == project:
        return
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    _write(out / "fcm-service-account.pub.pem", public, 0o644)
    account = {
        "type": "service_account",
        "project_id": project,
        "private_key_id": os.urandom(20).hex(),
        "private_key": _key_pem(key).decode(),
        "client_email": FCM_EMAIL.format(project=project),
        "client_id": str(int.from_bytes(os.urandom(8), "big")),
        "token_uri": TOKEN_URI,
    }
    _write(path, json.dumps(account, indent=2).encode(), 0o600)


def _write_key(path: Path, key: PrivateKeyTypes) -> None:
    _write(path, _key_pem(key), 0o600)


def _key_pem(key: PrivateKeyTypes) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _write(path: Path, content: bytes, mode: int) -> None:
    """Write the file atomically, so that a killed run leaves no partial file."""
    part = path.with_name(path.name + ".part")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:
        file.write(content)
    part.replace(path)


def main() -> None:
    """Process entry."""
    parser = argparse.ArgumentParser(prog="sandbox.partners.ca", description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--fcm-project", default="bp-sandbox", help="project id of FCM")
    arguments = parser.parse_args()
    write_all(arguments.out, arguments.fcm_project)


if __name__ == "__main__":
    main()
