"""The certificate agent: issues every proxy's certificate from OpenBao's PKI and renews it.

The files of one identity are swapped together, as in Kubernetes, because Envoy's file watcher
expects it: `cert.pem`, `key.pem` and `ca.pem` are links into `..data`, itself a link that one
rename replaces. A certificate is renewed at half of its lifetime; a start keeps younger ones.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
from cryptography import x509

from ops.provision.accounts import TOKEN_TTL_S, mint, write_all, write_for
from ops.provision.bao_client import BaoClient, BaoError
from ops.provision.roster import mesh_identities
from ops.provision.vault import CERT_AGENT, GATEWAY_NAMES, GATEWAY_ROLE
from sandbox.stack.home import Home
from services.kernel.identities import spiffe_id

log = logging.getLogger("stack")

EDGE = "edge"
CHECK_EVERY_S = 20.0
FILES = {"cert.pem": "certificate", "key.pem": "private_key", "ca.pem": "issuing_ca"}


@dataclass
class CertAgent:
    """Renews the certificates in BP_HOME/certs and the service-account tokens."""

    home: Home
    addr: str
    issuer_key: str
    instances: dict[str, str] = field(default_factory=dict[str, str])
    """Further instances of services, such as customers-1 -> the account whose token each has."""
    _keeper: asyncio.Task[None] | None = None
    _tokens_written: float = field(default=0.0)

    async def start(self) -> None:
        """Issue the certificates that are due, then renew in the background."""
        await self.renew_due()
        if self._keeper is None or self._keeper.done():
            self._keeper = asyncio.create_task(self._keep(), name="certificates")

    def stop(self) -> None:
        """Stop renewing."""
        if self._keeper is not None:
            self._keeper.cancel()

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(CHECK_EVERY_S)
            try:
                self.refresh_tokens()
                await self.renew_due()
            except (BaoError, aiohttp.ClientError, OSError) as error:
                # OpenBao may be restarting; half of the lifetime remains for retries.
                log.warning("certificates: %s", error)

    def refresh_tokens(self) -> None:
        """Write new service-account tokens at half of their lifetime."""
        if time.monotonic() - self._tokens_written > TOKEN_TTL_S / 2 or not self._tokens_written:
            write_all(self.home.run, self.issuer_key)
            for instance in self.instances:
                self._write_token(instance)
            self._tokens_written = time.monotonic()

    def add_instance(self, instance: str, account: str) -> None:
        """Write a token for a further instance of a service, and renew it from now on."""
        self.instances[instance] = account
        self._write_token(instance)

    def remove_instance(self, instance: str) -> None:
        """Renew the token of an instance no more."""
        self.instances.pop(instance, None)

    def _write_token(self, instance: str) -> None:
        token = mint(self.issuer_key, self.instances[instance], pod_name=instance)
        write_for(self.home.run / instance, token)

    async def renew_due(self, *, all_of_them: bool = False) -> list[str]:
        """Renew certificates past half of their lifetime (or all of them); return their names."""
        names = [*mesh_identities(), EDGE]
        async with BaoClient(self.addr) as anonymous:
            root = await self._root(anonymous)
            due = [n for n in names if all_of_them or is_due(self.home.certs / n, root)]
            if not due:
                return []
            token = await anonymous.login(CERT_AGENT, mint(self.issuer_key, CERT_AGENT, 60))
        async with BaoClient(self.addr, token) as bao:
            await asyncio.gather(*(self._issue(bao, name) for name in due))
        log.info("certificates: issued %s", ", ".join(due))
        return due

    async def _root(self, bao: BaoClient) -> str:
        answer = await bao.read("pki/cert/ca")
        if answer is None:
            raise BaoError("OpenBao has no root certificate: it was not provisioned; run `make up`")
        return answer["data"]["certificate"]

    async def _issue(self, bao: BaoClient, name: str) -> None:
        if name == EDGE:
            request = {"common_name": GATEWAY_NAMES[0], "alt_names": ",".join(GATEWAY_NAMES[1:])}
            answer = await bao.write(f"pki/issue/{GATEWAY_ROLE}", ip_sans="127.0.0.1", **request)
        else:
            answer = await bao.write(f"pki/issue/{name}", uri_sans=spiffe_id(name))
        swap_in(self.home.certs / name, answer["data"])


def swap_in(folder: Path, issued: dict[str, Any]) -> None:
    """Write a new version of the files and activate it by one rename."""
    folder.mkdir(parents=True, exist_ok=True)
    version = folder / f"..{time.time_ns()}"
    version.mkdir(mode=0o700)
    for file, key in FILES.items():
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        with os.fdopen(os.open(version / file, flags, 0o600), "w") as out:
            out.write(str(issued[key]).rstrip() + "\n")
    draft = folder / "..data.draft"
    draft.unlink(missing_ok=True)
    draft.symlink_to(version.name)
    draft.rename(folder / "..data")
    for file in FILES:
        with contextlib.suppress(FileExistsError):
            (folder / file).symlink_to(Path("..data") / file)
    # The previous version stays: a proxy may still be reading it.
    for old in sorted(folder.glob("..[0-9]*"))[:-2]:
        shutil.rmtree(old, ignore_errors=True)


def is_due(folder: Path, root_pem: str) -> bool:
    """Return whether a certificate is missing, unreadable, from another root, or past half of its
    lifetime."""
    try:
        certificate = x509.load_pem_x509_certificate((folder / "cert.pem").read_bytes())
        same_root = (folder / "ca.pem").read_text().strip() == root_pem.strip()
    except (OSError, ValueError):
        return True
    if not same_root:
        return True
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return datetime.now(UTC) > begin + (end - begin) / 2
