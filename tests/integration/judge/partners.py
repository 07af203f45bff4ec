"""The sandbox's clearing house and push service, run in this process without TLS."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from sandbox.partners.ach.control import ach_control
from sandbox.partners.ach.network import AchNetwork
from sandbox.partners.ach.wire import order_from
from sandbox.partners.faults import Faults
from sandbox.partners.fcm.__main__ import build as build_fcm
from sandbox.partners.settings import AchSettings, FcmSettings
from services.notifications.partners import AccessTokens, PushClient
from tests.rigs.push_service import PROJECT, service_account


@dataclass(frozen=True)
class ClearingHouse:
    """The network, and the Unix socket of its control API."""

    network: AchNetwork
    control: Path

    def submit(self, key: str, minor_units: int, account: str = "123456") -> str:
        """Submit a transfer; return its trace number."""
        body = {
            "amount": {"currency": "USD", "minorUnits": minor_units},
            "routing": "021000021",
            "account": account,
            "accountType": "CHECKING",
            "name": "Bo Rivera",
        }
        taken = self.network.submit(key, order_from(json.dumps(body).encode()))
        return self.network.trace_of(taken) or ""

    def pass_banking_days(self, days: int) -> None:
        """Let banking days pass at the clearing house; it sends no notices."""
        now = self.network.clock.now()
        self.network.advance_to(self.network.schedule.after_banking_days(now, days))


@dataclass(frozen=True)
class PushService:
    """The push service's socket, its service account, and the Unix socket of its control API."""

    socket: Path
    account: dict[str, str]
    control: Path

    def client(self, session: aiohttp.ClientSession) -> PushClient:
        """Return the client that the notifications service uses."""
        return PushClient(session, AccessTokens(session, self.account), PROJECT)


@asynccontextmanager
async def clearing_house(folder: Path) -> AsyncGenerator[ClearingHouse]:
    """Run the clearing house; its clock moves only when it is advanced."""
    settings = AchSettings.model_validate(
        _shared(folder)
        | {"api_key": "not-used-here", "clock_running": False}
        | {"clock_start": "2026-03-10T10:00:00-04:00"}
    )
    network = AchNetwork(settings)
    async with _served(ach_control(network, Faults()), folder / "ach-control.sock") as control:
        yield ClearingHouse(network, control)
    network.close()


@asynccontextmanager
async def push_service(folder: Path) -> AsyncGenerator[PushService]:
    """Run the push service; its public API listens on a Unix socket, like a sidecar's."""
    account = service_account(folder)
    partner = build_fcm(
        FcmSettings.model_validate(
            _shared(folder)
            | {
                "project_id": PROJECT,
                "service_account": {
                    "client_email": account["client_email"],
                    "private_key_id": account["private_key_id"],
                    "public_key": folder / "account.pub.pem",
                },
            }
        )
    )
    public = web.AppRunner(partner.app, shutdown_timeout=0.1)
    await public.setup()
    await web.UnixSite(public, str(folder / "fcm.sock")).start()
    async with _served(partner.control, folder / "fcm-control.sock") as control:
        yield PushService(folder / "fcm.sock", account, control)
    await public.cleanup()
    for close in partner.closers:
        close()


def _shared(folder: Path) -> dict[str, Any]:
    tls = {"cert": folder / "unused", "key": folder / "unused"}
    control = folder / "unused.sock"
    return {"port": 1, "control_socket": control, "tls": tls, "state_dir": folder / "state"}


@asynccontextmanager
async def _served(app: web.Application, socket: Path) -> AsyncGenerator[Path]:
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.UnixSite(runner, socket).start()
    yield socket
    await runner.cleanup()
