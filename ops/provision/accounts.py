"""Service-account tokens as Kubernetes projects them: JWTs for one hour, one file per service.

The stack holds the issuer's private key; OpenBao holds only the public key.
"""

from __future__ import annotations

import os
import shutil
import time
import uuid
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from joserfc import jwt
from joserfc.jwk import ECKey

from ops.provision.vault import CERT_AGENT, ISSUER, readable_paths
from services.kernel.identities import NAMESPACE, token_subject

TOKEN_TTL_S = 3600


def public_key_pem(private_pem: str) -> str:
    """Return the issuer's public key."""
    key = serialization.load_pem_private_key(private_pem.encode(), None)
    return (
        key.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode()
    )


def mint(private_pem: str, name: str, lifetime_s: int = TOKEN_TTL_S, pod_name: str = "") -> str:
    """Return a token with the claims of a projected service-account token.

    `pod_name` is for further instances of a service; the first one is <name>-0.
    """
    now = int(time.time())
    pod = {
        "name": pod_name or f"{name}-0",
        "uid": str(uuid.uuid5(uuid.NAMESPACE_DNS, pod_name or name)),
    }
    claims = {
        "iss": ISSUER,
        "aud": [ISSUER],
        "sub": token_subject(name),
        "iat": now,
        "nbf": now - 5,
        "exp": now + lifetime_s,
        "kubernetes.io": {
            "namespace": NAMESPACE,
            "serviceaccount": {"name": name, "uid": pod["uid"]},
            "pod": pod,
        },
    }
    key = ECKey.import_key(private_pem)
    return jwt.encode({"alg": "ES256", "typ": "JWT"}, claims, key, algorithms=["ES256"])


def write_all(run: Path, private_pem: str) -> None:
    """Write a new token for every account into its folder under `run`.

    The certificate agent may issue every identity. It has the issuer's key and mints a token that
    is valid for one minute when it needs one, so its token is never in a file. The folder where an
    earlier version stored that token is removed.
    """
    shutil.rmtree(run / CERT_AGENT, ignore_errors=True)
    for name in readable_paths():
        if name == CERT_AGENT:
            continue
        write_for(run / name, mint(private_pem, name))


def write_for(folder: Path, token: str) -> None:
    """Write a token into the folder of a process."""
    folder.mkdir(mode=0o700, exist_ok=True)
    write_token(folder / "token", token)


def write_token(file: Path, token: str) -> None:
    """Write the file with mode 0600 and atomically, so that a reader never sees half a token."""
    draft = file.with_suffix(".draft")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
        out.write(token)
    draft.replace(file)
