"""The sandboxes of auth's partners behind one Unix socket, in place of the sidecar of auth."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from ops.provision import secrets
from ops.provision.credentials import Credentials
from sandbox.partners.oauth.__main__ import build as build_oauth
from sandbox.partners.rekognition.__main__ import REQUEST_BYTES_MAX
from sandbox.partners.rekognition.__main__ import build as build_rekognition
from sandbox.partners.server import Partner
from sandbox.partners.settings import OauthSettings, RekognitionSettings, SmsSettings
from sandbox.partners.sms.__main__ import build as build_sms
from sandbox.stack.parts.partners import HOSTS, LOGIN_SCOPES


@dataclass
class LoginPartners:
    """The running sandboxes: their socket, and their control APIs."""

    socket: Path
    control: aiohttp.ClientSession

    async def grants(self) -> int:
        """Return how many grants live at the OAuth provider."""
        return (await self._asked("oauth", "state"))["grants"]

    async def liveness_checks(self) -> int:
        """Return how many liveness checks the bank began."""
        return (await self._asked("rekognition", "state"))["livenessSessions"]

    async def texts(self) -> list[str]:
        """Return the text messages that the gateway accepted, the oldest first."""
        return [one["body"] for one in (await self._asked("sms", "messages"))["messages"]]

    async def fault(self, partner: str, **spec: Any) -> None:
        """Inject a fault."""
        url = f"http://{partner}.control/control/faults"
        async with self.control.post(url, json=spec) as answer:
            assert answer.status == 201, await answer.text()

    async def _asked(self, partner: str, what: str) -> dict[str, Any]:
        async with self.control.get(f"http://{partner}.control/control/{what}") as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()


@asynccontextmanager
async def login_partners(folder: Path, credentials: Credentials) -> AsyncGenerator[LoginPartners]:
    """Run the SMS gateway, the OAuth provider and Rekognition in this process."""
    partners = _built(folder, credentials)
    outside = web.Application(client_max_size=REQUEST_BYTES_MAX)
    for host, name in HOSTS.items():
        if name in partners:
            outside.add_domain(host, partners[name].app)
            outside.add_domain(f"{name}.control", partners[name].control)
    runner, socket = web.AppRunner(outside, access_log=None), folder / "out"
    await runner.setup()
    await web.UnixSite(runner, str(socket)).start()
    connector = aiohttp.UnixConnector(str(socket))
    try:
        async with aiohttp.ClientSession(connector=connector) as control:
            yield LoginPartners(socket, control)
    finally:
        await runner.cleanup()
        for partner in partners.values():
            for close in partner.closers:
                close()


def _built(folder: Path, credentials: Credentials) -> dict[str, Partner]:
    """Return the partners as the stack configures them."""
    login = {
        "client_id": secrets.OAUTH_LOGIN_CLIENT_ID,
        "public_jwk": secrets.login_public_jwk(credentials.oauth_login_key),
        "scopes": LOGIN_SCOPES,
        "customers": False,
        "exchange": True,
    }
    oauth = {
        "issuer": secrets.OAUTH_ISSUER,
        "audience": secrets.OAUTH_AUDIENCE,
        "clients": [login],
    }
    rekognition = {
        "access_key_id": credentials.rekognition_access_key_id,
        "secret_access_key": credentials.rekognition_secret_access_key,
        "region": secrets.AWS_REGION,
    }
    sms = {"api_key": credentials.sms_api_key}
    return {
        "oauth": build_oauth(OauthSettings.model_validate(_common(folder, "oauth") | oauth)),
        "rekognition": build_rekognition(
            RekognitionSettings.model_validate(_common(folder, "rekognition") | rekognition)
        ),
        "sms": build_sms(SmsSettings.model_validate(_common(folder, "sms") | sms)),
    }


def _common(folder: Path, name: str) -> dict[str, Any]:
    """Return the settings of every partner; this process uses only the state directory."""
    state = folder / name
    state.mkdir()
    unused = {"cert": folder / "unused", "key": folder / "unused"}
    return {"port": 1, "control_socket": folder / "unused", "tls": unused, "state_dir": state}
