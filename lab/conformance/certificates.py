"""Authorities and certificates that exist for one run, in one folder."""

import ipaddress
import os
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_HOUR = timedelta(hours=1)
_PEM = serialization.Encoding.PEM


@dataclass
class Authority:
    """Signs certificates; its own certificate is in `pem`."""

    name: str
    folder: Path
    key: ec.EllipticCurvePrivateKey = field(init=False)
    pem: Path = field(init=False)

    def __post_init__(self) -> None:
        """Write the authority's certificate and key."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.pem = self.folder / f"{self.name}-ca.pem"
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.name)])
        certificate = (
            _dated(name, name, self.key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(_signing(), critical=True)
            .sign(self.key, hashes.SHA256())
        )
        self.pem.write_bytes(certificate.public_bytes(_PEM))

    def issue(self, folder: Path, *, dns: tuple[str, ...] = (), uri: str | None = None) -> Path:
        """Write cert.pem, key.pem and ca.pem into a folder; return the folder."""
        folder.mkdir(parents=True, exist_ok=True)
        key = ec.generate_private_key(ec.SECP256R1())
        issuer = x509.load_pem_x509_certificate(self.pem.read_bytes()).subject
        names: list[x509.GeneralName] = [x509.DNSName(name) for name in dns]
        if uri is not None:
            names.append(x509.UniformResourceIdentifier(uri))
        names = names or [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{folder.name} leaf")])
        certificate = (
            _dated(subject, issuer, key)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .sign(self.key, hashes.SHA256())
        )
        (folder / "cert.pem").write_bytes(certificate.public_bytes(_PEM))
        write_private(folder / "key.pem", key_pem(key))
        (folder / "ca.pem").write_bytes(self.pem.read_bytes())
        return folder


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner can open, from the first moment on."""
    with os.fdopen(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return a private key as PEM."""
    return key.private_bytes(
        _PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )


def _signing() -> x509.KeyUsage:
    off = dict.fromkeys(
        (
            *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment"),
            *("key_agreement", "crl_sign", "encipher_only", "decipher_only"),
        ),
        False,
    )
    return x509.KeyUsage(key_cert_sign=True, **off)


def _dated(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _HOUR)
        .not_valid_after(now + 24 * _HOUR)
    )
