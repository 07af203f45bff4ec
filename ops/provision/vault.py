"""Sets up OpenBao: secrets, PKI, login by service account, least-privilege policies.

Mounts, root certificate and secrets are read first, so a second run creates no new versions.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

from ops.provision import valkey
from ops.provision.bao_client import BaoClient
from ops.provision.roster import JUDGE, OPERATOR, REVIEWER, SERVICES, mesh_identities
from services.audit import notary
from services.auth import sealing
from services.kernel.identities import spiffe_id, token_subject

ISSUER = "https://kubernetes.default.svc.cluster.local"
TOKEN_TTL = "1h"
MESH_CERT_TTL = "1h"
GATEWAY_CERT_TTL = "2160h"
GATEWAY_ROLE = "api-gateway"
GATEWAY_NAMES = ("localhost", "bp.localhost")
CERT_BACKDATE = "5m"
"""Certificates are valid from this long before they are issued, for clocks that run behind."""
LOGIN_SKEW_S = 180
"""How far the clock of a service account token's issuer may be ahead."""
CERT_AGENT = "cert-agent"
BPCTL = "bpctl"
ROOT_TTL = "87600h"
AUDIT_KEY, AUDIT_MARK = notary.KEY, notary.MARK_PATH
CUSTOMER_KEY = sealing.KEY
MARK_VERSIONS = 10
"""How many past marks of the signed heads OpenBao keeps."""

Secrets = Mapping[str, Mapping[str, Any]]


async def provision(addr: str, token: str, issuer_public_key: str, secrets: Secrets) -> None:
    """Write mounts, root certificate, roles, policies and the given KV secrets (fields by path)."""
    async with BaoClient(addr, token) as bao:
        await _mount(bao)
        await _transit_key(bao, AUDIT_KEY, "ed25519")
        await _transit_key(bao, CUSTOMER_KEY, "aes256-gcm96")
        await _root_certificate(bao)
        await bao.write(
            "auth/kubernetes/config",
            jwt_validation_pubkeys=[issuer_public_key],
            bound_issuer=ISSUER,
        )
        await asyncio.gather(
            *(_pki_role(bao, name) for name in mesh_identities()),
            _edge_role(bao),
            *(_login_role(bao, name, rules) for name, rules in policies().items()),
            *(_secret(bao, path, fields) for path, fields in secrets.items()),
            _first_mark(bao),
        )


def readable_paths() -> dict[str, list[str]]:
    """Return the API paths that each service account may use; everything else is denied."""
    paths: dict[str, list[str]] = {
        CERT_AGENT: [f"pki/issue/{name}" for name in (*mesh_identities(), GATEWAY_ROLE)],
        BPCTL: [
            "secret/data/external/oauth",
            *(f"secret/data/database/postgres/{name}" for name in (JUDGE, REVIEWER, OPERATOR)),
            f"secret/data/valkey/{valkey.JUDGE}",
        ],
    }
    for service in SERVICES:
        own = [f"secret/data/{path}" for path in (f"service/{service.name}", *service.secrets)]
        if service.database is not None:
            own.append(f"secret/data/database/postgres/{service.name}")
        paths[service.name] = own
    return paths


def policies() -> dict[str, dict[str, tuple[str, ...]]]:
    """Return each account's capabilities by API path; everything else is denied."""
    rules: dict[str, dict[str, tuple[str, ...]]] = {
        name: dict.fromkeys(paths, ("update",) if name == CERT_AGENT else ("read",))
        for name, paths in readable_paths().items()
    }
    verify = {f"transit/verify/{AUDIT_KEY}": ("update",)}
    mark = f"secret/data/{AUDIT_MARK}"
    rules["audit"] |= {
        **verify,
        f"transit/sign/{AUDIT_KEY}": ("update",),
        mark: ("read", "create", "update"),
    }
    rules["auth"] |= {
        f"transit/{action}/{CUSTOMER_KEY}": ("update",) for action in ("encrypt", "decrypt")
    }
    rules[BPCTL] |= {**verify, mark: ("read",)}
    return rules


async def _mount(bao: BaoClient) -> None:
    mounts = await bao.read("sys/mounts") or {}
    if "secret/" not in mounts:
        await bao.write("sys/mounts/secret", type="kv", options={"version": "2"})
    if "transit/" not in mounts:
        await bao.write("sys/mounts/transit", type="transit")
    if "pki/" not in mounts:
        await bao.write("sys/mounts/pki", type="pki", config={"max_lease_ttl": ROOT_TTL})
    logins = await bao.read("sys/auth") or {}
    if "kubernetes/" not in logins:
        await bao.write("sys/auth/kubernetes", type="jwt")


async def _root_certificate(bao: BaoClient) -> None:
    issuers = await bao.read("pki/config/issuers")
    if issuers is not None and issuers["data"]["default"]:
        return
    await bao.write(
        "pki/root/generate/internal",
        common_name="BP Root CA",
        organization="BP",
        ttl=ROOT_TTL,
        not_before_duration=CERT_BACKDATE,
        key_type="ec",
        key_bits=256,
        max_path_length=0,
    )


async def _transit_key(bao: BaoClient, name: str, kind: str) -> None:
    """Make the key that signs the heads of the audit log, or the one that encrypts customers' data.
    It can be neither read nor deleted."""
    if await bao.read(f"transit/keys/{name}") is None:
        await bao.write(
            f"transit/keys/{name}",
            type=kind,
            exportable=False,
            allow_plaintext_backup=False,
        )


async def _first_mark(bao: BaoClient) -> None:
    """Write the mark before the first signed head; an existing mark is kept."""
    if await bao.read(f"secret/data/{AUDIT_MARK}") is None:
        await bao.write(f"secret/metadata/{AUDIT_MARK}", max_versions=MARK_VERSIONS)
        await bao.write(f"secret/data/{AUDIT_MARK}", data=notary.first_mark())


async def _pki_role(bao: BaoClient, name: str) -> None:
    """Allow certificates with exactly one SPIFFE URI and no DNS name."""
    await bao.write(
        f"pki/roles/{name}",
        key_type="ec",
        key_bits=256,
        max_ttl=MESH_CERT_TTL,
        ttl=MESH_CERT_TTL,
        not_before_duration=CERT_BACKDATE,
        allowed_uri_sans=[spiffe_id(name)],
        allow_any_name=False,
        allow_localhost=False,
        allow_ip_sans=False,
        require_cn=False,
        use_csr_sans=False,
        server_flag=True,
        client_flag=True,
        no_store=True,
    )


async def _edge_role(bao: BaoClient) -> None:
    """Allow the gateway's public certificate: host names of this machine, no SPIFFE identity."""
    await bao.write(
        f"pki/roles/{GATEWAY_ROLE}",
        key_type="ec",
        key_bits=256,
        max_ttl=GATEWAY_CERT_TTL,
        ttl=GATEWAY_CERT_TTL,
        not_before_duration=CERT_BACKDATE,
        allowed_domains=list(GATEWAY_NAMES),
        allow_bare_domains=True,
        allow_ip_sans=True,
        server_flag=True,
        client_flag=False,
        no_store=True,
    )


async def _login_role(bao: BaoClient, name: str, rules: Mapping[str, Iterable[str]]) -> None:
    lines = [
        f'path "{path}" {{ capabilities = [{", ".join(map(_quoted, capabilities))}] }}'
        for path, capabilities in rules.items()
    ]
    await bao.write(f"sys/policies/acl/{name}", policy="\n".join(lines) or "# nothing")
    await bao.write(
        f"auth/kubernetes/role/{name}",
        role_type="jwt",
        user_claim="sub",
        bound_audiences=[ISSUER],
        bound_subject=token_subject(name),
        token_policies=[name],
        token_ttl=TOKEN_TTL,
        token_max_ttl="24h",
        clock_skew_leeway=LOGIN_SKEW_S,
    )


def _quoted(word: str) -> str:
    return f'"{word}"'


async def _secret(bao: BaoClient, path: str, fields: Mapping[str, Any]) -> None:
    known = await bao.read(f"secret/data/{path}")
    if known is None or known["data"]["data"] != dict(fields):
        await bao.write(f"secret/data/{path}", data=dict(fields))
