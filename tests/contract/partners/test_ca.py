"""The partners' certificate authority."""

import subprocess
from pathlib import Path

import pytest
from cryptography import x509

from sandbox.partners.ca import EARLIER_AUTHORITY, LEAVES, Leaf, write_all

SERVERS = {
    "ach": {"ach-network.example"},
    "fraud": {"fraud.example"},
    "fcm": {"fcm.googleapis.com", "oauth2.googleapis.com"},
    "oauth": {"oauth.example"},
    "sms": {"sms-gateway.example"},
    "rekognition": {"rekognition.us-east-1.amazonaws.com"},
}


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_a_second_run_changes_nothing_and_replaces_only_what_is_missing(
    certs: Path, tmp_path: Path
) -> None:
    write_all(tmp_path, "bp-sandbox")
    before = contents(tmp_path)
    write_all(tmp_path, "bp-sandbox")
    assert contents(tmp_path) == before
    (tmp_path / "fraud.pem").unlink()
    write_all(tmp_path, "bp-sandbox")
    after = contents(tmp_path)
    changed = {name for name in after if after[name] != before.get(name)}
    assert changed == {"fraud.pem", "fraud.key"}


def test_the_authority_that_vouched_for_all_partners_before_is_removed(tmp_path: Path) -> None:
    for name in EARLIER_AUTHORITY:
        (tmp_path / name).write_text("of an earlier version")
    write_all(tmp_path, "bp-sandbox")
    assert not {*EARLIER_AUTHORITY} & contents(tmp_path).keys()


@pytest.mark.parametrize("name", SERVERS)
def test_a_server_certificate_carries_its_names_and_the_loopback(certs: Path, name: str) -> None:
    cert = x509.load_pem_x509_certificate((certs / f"{name}.pem").read_bytes())
    names = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert set(names.get_values_for_type(x509.DNSName)) == SERVERS[name] | {"localhost"}
    assert [str(ip) for ip in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1"]


def verifies(certs: Path, issuer: str, stem: str) -> bool:
    command = ["openssl", "verify", "-x509_strict", "-CAfile", f"{issuer}-ca.pem", f"{stem}.pem"]
    return subprocess.run(command, cwd=certs, capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("leaf", LEAVES, ids=lambda leaf: leaf.stem)
def test_every_certificate_verifies_only_with_its_authority_and_its_key_is_private(
    certs: Path, leaf: Leaf
) -> None:
    issuers = {other.issuer for other in LEAVES}
    servers = [other.issuer for other in LEAVES if not other.client]
    assert len(set(servers)) == len(servers)
    assert not {other.issuer for other in LEAVES if other.client} & set(servers)
    assert {name for name in issuers if verifies(certs, name, leaf.stem)} == {leaf.issuer}
    assert (certs / f"{leaf.stem}.key").stat().st_mode & 0o077 == 0
