"""The service and the partner that are called. They count calls and behave as the call asks."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections import Counter

import grpc
from aiohttp import web

from lab.conformance.calls.machine import CALLED, Machine
from services import contracts

_SLEEP_S = 60
_URI = re.compile(r"URI=([^;,]*)")


class Outside:
    """The called service, on its Unix socket; the partner and the token issuer, on TLS ports."""

    def __init__(self, machine: Machine) -> None:
        """Prepare both servers."""
        self._machine = machine
        self.tries = Counter[str]()
        self.callers: list[str] = []
        """The caller's identities in the last call that the service got."""
        self.seen: dict[str, str] = {}
        """The headers of the last call that the service got."""
        self._service = grpc.aio.server()
        self._service.add_generic_rpc_handlers((_Methods(self),))
        self._service.add_insecure_port(f"unix:{machine.socket(CALLED, 'in')}")
        application = web.Application()
        application.router.add_route("*", "/{behaviour}/{name}", self._answer)
        application.router.add_get("/jwks", self._keys)
        self._partner = web.AppRunner(application)

    async def start(self) -> None:
        """Start both servers."""
        await self._service.start()
        await self._partner.setup()
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        folder = self._machine.folder / "partner"
        tls.load_cert_chain(folder / "cert.pem", folder / "key.pem")
        for port in (self._machine.partner_port, self._machine.issuer_port):
            await web.TCPSite(self._partner, "127.0.0.1", port, ssl_context=tls).start()

    async def stop(self) -> None:
        """Stop both servers."""
        await self._service.stop(0)
        await self._partner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        behaviour, name = request.match_info["behaviour"], request.match_info["name"]
        self.tries[name] += 1
        if behaviour == "silent":
            await asyncio.sleep(_SLEEP_S)
        fails = behaviour == "failing" or (behaviour == "once" and self.tries[name] == 1)
        return web.Response(status=503 if fails else 200)

    async def _keys(self, _: web.Request) -> web.Response:
        return web.json_response(self._machine.issuer.keys())

    async def unary(self, _: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        """Answer a method with an empty message, or never if the call asks for that."""
        told = {key: str(value) for key, value in context.invocation_metadata() or ()}
        self.seen = told
        self.callers = _URI.findall(told.get("x-forwarded-client-cert", ""))
        if "x-silent" in told:
            await asyncio.sleep(_SLEEP_S)
        return b""


class _Methods(grpc.GenericRpcHandler):
    """All methods of the called service."""

    def __init__(self, outside: Outside) -> None:
        self._outside = outside
        paths = contracts.load().values()
        self._paths = {each.path for each in paths if each.deployable == CALLED}

    def service(
        self, handler_call_details: grpc.HandlerCallDetails
    ) -> grpc.RpcMethodHandler[bytes, bytes] | None:
        """Return the handler of a method."""
        if handler_call_details.method not in self._paths:
            return None
        return grpc.unary_unary_rpc_method_handler(
            self._outside.unary, request_deserializer=bytes, response_serializer=bytes
        )
