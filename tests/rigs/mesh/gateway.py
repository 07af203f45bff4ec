"""A real gateway in front of two services with their sidecars, and a token issuer."""

import json
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from yarl import URL

from mesh import ctl
from tests.rigs.mesh.issuer import Issuer
from tests.rigs.mesh.proxies import Rig
from tests.rigs.mesh.streamed import StreamedRig
from tests.rigs.mesh.tls import client_context
from tests.rigs.mesh.upstream import Auth, Customers, Payments, Seen, serve

SUBJECT = "0190a8a0-0000-7000-8000-000000000042"
TRANSFER = "/v1/transfers/interbank"
BODY: dict[str, Any] = {
    "accountId": "0190a8a0-0000-7000-8000-000000000007",
    "amount": {"currencyCode": "USD", "minorUnits": "100"},
    "beneficiary": {
        "name": "Ana",
        "routingNumber": "021000021",
        "accountNumber": "123",
        "accountType": "CHECKING",
    },
    "memo": "rent",
}


@dataclass(frozen=True)
class Answer:
    """One complete HTTP answer."""

    status: int
    headers: Any
    text: str
    trailers: dict[str, str] = field(default_factory=dict[str, str])
    """The fields after the body. Only tests that read HTTP/2 frame by frame fill it."""

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.text)

    @property
    def info(self) -> Any:
        """The ErrorInfo; fails if the answer does not have the form of an error."""
        assert self.headers["content-type"].startswith("application/json"), self
        body = self.json
        assert isinstance(body["code"], int)
        assert body["message"]
        info = next(d for d in body["details"] if d["@type"].endswith("google.rpc.ErrorInfo"))
        assert info["domain"]
        assert isinstance(info["metadata"], dict)
        return info

    @property
    def reason(self) -> str:
        """ErrorInfo's reason."""
        return self.info["reason"]

    @property
    def fields(self) -> list[str]:
        """The fields that BadRequest names."""
        return list(self.violations)

    @property
    def violations(self) -> dict[str, str]:
        """The fields that BadRequest names, with what is wrong with each."""
        found = (d.get("fieldViolations", []) for d in self.json["details"])
        return {one["field"]: one["description"] for each in found for one in each}


@dataclass
class Gateway:
    """The running gateway with its token issuer, services and HTTP client."""

    rig: Rig
    issuer: Issuer
    seen: Seen
    session: aiohttp.ClientSession
    token: str = field(default="")

    async def call(self, verb: str, path: str, *, token: str | None = "", **more: Any) -> Answer:
        """Call the gateway as the customer; `token` replaces the default, None sends no token.

        `encoded` sends the path unchanged; otherwise the client decodes unnecessary encodings.
        """
        headers = {"Idempotency-Key": "key-1"} if verb == "POST" else {}
        if token is not None:
            headers["Authorization"] = f"Bearer {token or self.token}"
        headers |= more.pop("headers", {})
        text = f"https://localhost:{self.rig.gateway_port}{path}"
        url = URL(text, encoded=more.pop("encoded", False))
        kept = {key: value for key, value in headers.items() if value is not None}
        async with self.session.request(verb, url, headers=kept, **more) as response:
            return Answer(response.status, response.headers, await response.text())

    def trusting(self, client: str | None = None) -> ssl.SSLContext:
        """Return a context that trusts the gateway, with a partner's client certificate."""
        folder = None if client is None else self.rig.home / "partners" / client
        return client_context(self.rig.mesh_ca.pem, folder)


@asynccontextmanager
async def open_gateway(
    config: Path = ctl.CONFIG, *, streamed: bool = False
) -> AsyncGenerator[Gateway]:
    """Start the gateway and everything around it; stop it all at the end.

    `streamed` proxies get their configuration from a discovery server.
    """
    rig = StreamedRig(config) if streamed else Rig(config)
    issuer, seen = Issuer(), Seen()
    servers = [
        await serve(rig.socket_in("payments"), Payments(seen)),
        await serve(rig.socket_in("customers"), Customers(seen)),
        await serve(rig.socket_in("auth"), Auth(seen)),
    ]
    try:
        oauth = rig.home / "partners" / "oauth.example"
        await issuer.start(rig.partner_port["oauth.example"], oauth)
        if isinstance(rig, StreamedRig):
            await rig.serve()
        await rig.start(["payments", "customers", "auth", "gateway"])
        connector = aiohttp.TCPConnector(ssl=client_context(rig.mesh_ca.pem))
        async with aiohttp.ClientSession(connector=connector) as session:
            yield Gateway(rig, issuer, seen, session, issuer.token(SUBJECT))
    finally:
        await rig.close()
        for server in servers:
            await server.stop(None)
        await issuer.close()
