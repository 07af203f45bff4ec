"""Certificate authorities that exist for one test session."""

import ipaddress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_HOUR = timedelta(hours=1)
_LOOPBACK = ipaddress.ip_address("127.0.0.1")


@dataclass(frozen=True)
class Pair:
    """PEM files of one certificate."""

    cert: Path
    key: Path
    ca: Path


@dataclass(frozen=True)
class Authority:
    """Issues certificates into folders."""

    name: str
    folder: Path
    key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )

    @property
    def pem(self) -> Path:
        """The authority's own certificate."""
        path = self.folder / f"{self.name}-ca.pem"
        if not path.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.name)])
            cert = (
                _dated(x509.CertificateBuilder(), -_HOUR, _HOUR)
                .subject_name(name)
                .issuer_name(name)
                .public_key(self.key.public_key())
                .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
                .sign(self.key, hashes.SHA256())
            )
            path.write_bytes(cert.public_bytes(serialization.Encoding.PEM))
        return path

    def issue(
        self,
        folder: Path,
        *,
        dns: tuple[str, ...] = (),
        uri: str | None = None,
        ends_in: timedelta = _HOUR,
    ) -> Pair:
        """Write cert.pem, key.pem and ca.pem into a folder, as Kubernetes projects a secret."""
        key = ec.generate_private_key(ec.SECP256R1())
        issuer = x509.load_pem_x509_certificate(self.pem.read_bytes())
        names: list[x509.GeneralName] = [x509.DNSName(name) for name in dns]
        if uri is not None:
            names.append(x509.UniformResourceIdentifier(uri))
        else:
            names.append(x509.IPAddress(_LOOPBACK))
        cert = (
            _dated(x509.CertificateBuilder(), -_HOUR, ends_in)
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, folder.name)]))
            .issuer_name(issuer.subject)
            .public_key(key.public_key())
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .sign(self.key, hashes.SHA256())
        )
        private = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        _swap_in(
            folder,
            {
                "cert.pem": cert.public_bytes(serialization.Encoding.PEM),
                "key.pem": private,
                "ca.pem": self.pem.read_bytes(),
            },
        )
        return Pair(folder / "cert.pem", folder / "key.pem", folder / "ca.pem")


def _swap_in(folder: Path, files: dict[str, bytes]) -> None:
    version = folder / f"..{x509.random_serial_number()}"
    version.mkdir(parents=True)
    for name, content in files.items():
        (version / name).write_bytes(content)
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(Path("..data") / name)
    draft = folder / "..draft"
    draft.symlink_to(version.name)
    draft.rename(folder / "..data")


def _dated(
    builder: x509.CertificateBuilder, begins_in: timedelta, ends_in: timedelta
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        builder.serial_number(x509.random_serial_number())
        .not_valid_before(now + begins_in)
        .not_valid_after(now + ends_in)
    )
