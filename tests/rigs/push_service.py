"""The FCM sandbox behind a Unix socket, in place of the sidecar of notifications."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from sandbox.partners.fcm.__main__ import build
from sandbox.partners.settings import FcmSettings
from services.notifications.state import Device

PROJECT = "bp-test"


@dataclass
class PushService:
    """The running sandbox: its socket and the service account that may use it."""

    socket: Path
    control: aiohttp.ClientSession
    account: dict[str, str]

    async def messages(self, device: str) -> dict[str, Any]:
        """Return what a device received: count, delivered, shown."""
        async with self.control.get(f"http://c/control/messages?device={device}") as answer:
            return json.loads(await answer.read())

    async def fault(self, **spec: Any) -> None:
        """Inject a fault."""
        async with self.control.post("http://c/control/faults", json=spec) as answer:
            assert answer.status == 201, await answer.text()

    async def heal(self) -> None:
        """Remove all faults."""
        async with self.control.delete("http://c/control/faults") as answer:
            assert answer.status == 200


def service_account(folder: Path) -> dict[str, str]:
    """Make a service account; its public key goes to account.pub.pem in the folder."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    (folder / "account.pub.pem").write_bytes(public)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return {
        "client_email": "push@bp-test.example",
        "private_key_id": "key-1",
        "private_key": private.decode(),
        "token_uri": "https://oauth2.googleapis.com/token",
    }


async def register_device(database: asyncpg.Connection | asyncpg.Pool, device: Device) -> None:
    """Register a customer's device in bp_notifications."""
    await database.execute(
        "INSERT INTO notif.device (token, customer_id, locale) VALUES ($1, $2, $3)",
        device.token,
        device.customer_id,
        device.locale,
    )


@asynccontextmanager
async def push_service(folder: Path) -> AsyncGenerator[PushService]:
    """Run the sandbox of FCM in this process."""
    account = service_account(folder)
    settings = FcmSettings.model_validate(
        {
            "port": 1,
            "control_socket": folder / "control.sock",
            "tls": {"cert": folder / "unused", "key": folder / "unused"},
            "state_dir": folder / "state",
            "project_id": PROJECT,
            "service_account": {
                "client_email": account["client_email"],
                "private_key_id": account["private_key_id"],
                "public_key": folder / "account.pub.pem",
            },
        }
    )
    partner = build(settings)
    runners = [web.AppRunner(app, shutdown_timeout=0.1) for app in (partner.app, partner.control)]
    sockets = [folder / "fcm.sock", folder / "control.sock"]
    for runner, socket in zip(runners, sockets, strict=True):
        await runner.setup()
        await web.UnixSite(runner, str(socket)).start()
    async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(sockets[1]))) as control:
        yield PushService(sockets[0], control, account)
    for runner in runners:
        await runner.cleanup()
    for close in partner.closers:
        close()
