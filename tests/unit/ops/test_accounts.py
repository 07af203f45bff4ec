"""The files of the service accounts' tokens."""

from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ops.provision import accounts
from ops.provision.vault import BPCTL, CERT_AGENT


def test_a_token_that_an_earlier_version_wrote_for_the_certificate_agent_is_removed(
    tmp_path: Path,
) -> None:
    key = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (tmp_path / CERT_AGENT).mkdir()
    for name in ("token", "token.draft"):
        (tmp_path / CERT_AGENT / name).write_text("of an earlier version")
    accounts.write_all(tmp_path, key.decode())
    written = {file.parent.name for file in tmp_path.glob("*/token")}
    assert BPCTL in written
    assert not (tmp_path / CERT_AGENT).exists()
