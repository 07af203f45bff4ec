"""Five sidecars, one server behind them, and outside partners, for all tests of this folder."""

import shutil
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import grpc.aio
import pytest

from mesh import ctl
from mesh.controlplane.drain import CALL_MS_MAX
from tests.rigs.host_speed import waited_out_s
from tests.rigs.mesh.partner import Partner
from tests.rigs.mesh.proxies import Rig, identity
from tests.rigs.mesh.upstream import Customers, Seen, serve

SIDECARS = ("payments", "customers", "transfers", "notifications", "auth")
ACH_TRY_S = 0.5
SMS_TRY_S = 0.4
FCM_S = 1.0
CONNECT = "connectTimeout: 2s"
# The files are the bank's own; only the times differ. The times are short, so that a test does not
# wait a minute, and scale with the host's speed, so that a healthy partner has time to answer.
TIMES_S = {
    "timeout: 30s": 4.0,
    "perTryTimeout: 7s": ACH_TRY_S,
    "baseEjectionTime: 60s": 1.0,
    "baseEjectionTime: 120s": 1.0,
    "timeout: 5s": 5.0,
    "perTryTimeout: 2400ms": 0.4,
    "perTryTimeout: 1500ms": SMS_TRY_S,
    "timeout: 10s": FCM_S,
    CONNECT: 2.0,
}
NO_TRY_TIMEOUT = ("        perTryTimeout: 3s\n", "")
"""One attempt at FCM may take the whole timeout, so that one hanging attempt uses it up."""
CONNECT_S = {"fcm.yaml": 0.8 * FCM_S, "rekognition.yaml": 0.8 * FCM_S}
"""Shorter than the timeout, as the check of the configuration requires."""
BREAKER_S = {"oauth.yaml": {"baseEjectionTime: 30s": 1.0}}
INTERVAL = ("interval: 1s", "interval: 100ms")
"""How often a sidecar checks whether an open circuit breaker may close."""


def timed(path: Path) -> str:
    """Return a partner's file with the tests' times."""
    text = path.read_text()
    connect_s = CONNECT_S.get(path.name, TIMES_S[CONNECT])
    times_s = {**TIMES_S, **BREAKER_S.get(path.name, {}), CONNECT: connect_s}
    for own, seconds in times_s.items():
        name = own.partition(":")[0]
        milliseconds = min(round(1000 * waited_out_s(seconds)), CALL_MS_MAX)
        text = text.replace(own, f"{name}: {milliseconds}ms")
    return text.replace(*NO_TRY_TIMEOUT).replace(*INTERVAL)


@dataclass
class Mesh:
    """The running mesh, as the tests use it."""

    rig: Rig
    seen: Seen
    ach: Partner
    fraud: Partner
    fcm: Partner
    sms: Partner
    oauth: Partner

    async def send(self, service: str, host: str, **more: Any) -> tuple[int, float]:
        """POST through a service's sidecar; return the status and the seconds it took."""
        connector = aiohttp.UnixConnector(str(self.rig.socket_out(service)))
        async with aiohttp.ClientSession(connector=connector) as session:
            begin = time.monotonic()
            async with session.post(f"http://{host}/x", data=b"{}", **more) as response:
                await response.read()
                return response.status, time.monotonic() - begin

    async def counted(self, service: str, host: str, counter: str) -> int:
        """Return a counter of a service's sidecar for one partner."""
        stats = await self.rig.stats(service, f"partner/{host}.{counter}")
        return stats[f"cluster.partner/{host}.{counter}"]

    def channel(self, service: str, authority: str) -> grpc.aio.Channel:
        """Return a channel from a service, through its sidecar."""
        options = [("grpc.default_authority", authority), ("grpc.enable_retries", 0)]
        return grpc.aio.insecure_channel(f"unix:{self.rig.socket_out(service)}", options)


@pytest.fixture(scope="package")
async def mesh() -> AsyncIterator[Mesh]:
    """Return the running mesh."""
    made = Mesh(Rig(), Seen(), *(Partner() for _ in range(5)))
    rig = made.rig
    config = rig.home / "config"
    shutil.copytree(ctl.CONFIG, config)
    # The timeout of the gateway's keys must be that of the provider.
    for path in (config / "gateway.yaml", *(config / "partners").glob("*.yaml")):
        path.write_text(timed(path))
    # One service that payments may call presents the certificate of another identity.
    sidecars, needed = config / "sidecars.yaml", "./customers.bp.svc.cluster.local\n        - ./ach"
    assert needed in sidecars.read_text()
    sidecars.write_text(
        sidecars.read_text().replace(
            needed, f"./transfers.bp.svc.cluster.local\n        - {needed}"
        )
    )
    rig.mesh_ca.issue(rig.home / "certs" / "transfers", uri=identity("audit"))
    rig.render(config)
    server = await serve(rig.socket_in("customers"), Customers(made.seen))
    partners = {"ach-network.example": made.ach, "fraud.example": made.fraud}
    partners |= {"fcm.googleapis.com": made.fcm, "sms-gateway.example": made.sms}
    partners["oauth.example"] = made.oauth
    try:
        for host, partner in partners.items():
            mutual = rig.ach_members_ca.pem if partner is made.ach else None
            await partner.start(rig.partner_port[host], rig.home / "partners" / host, mutual)
        await rig.start(SIDECARS)
        yield made
    finally:
        await rig.close()
        await server.stop(None)
        for partner in partners.values():
            await partner.close()
