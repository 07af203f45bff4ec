"""The HTTP API of the SMS gateway, on its public port. Answers never contain text or number."""

import hmac
import time
from collections.abc import Awaitable, Callable

from aiohttp import web

from sandbox.partners.faults import Faults
from sandbox.partners.refusals import WireError
from sandbox.partners.server import REQUEST_BYTES_MAX, answer
from sandbox.partners.settings import SmsSettings
from sandbox.partners.sms.carrier import Carrier
from sandbox.partners.sms.wire import accepted, refuse_by_number, resource, text_from

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
KEY_CHARS_MAX = 255


def sms_app(settings: SmsSettings, carrier: Carrier, faults: Faults) -> web.Application:
    """Return the app of the public port."""
    app = web.Application(
        middlewares=[_Guard(settings.api_key).middleware, faults.middleware, _errors],
        client_max_size=REQUEST_BYTES_MAX,
    )
    endpoints = _Endpoints(carrier)
    app.router.add_post("/v1/messages", endpoints.send)
    app.router.add_get("/v1/messages/{id}", endpoints.get)
    return app


class _Guard:
    """Checks the caller's API key."""

    def __init__(self, api_key: str) -> None:
        self._expected = f"Bearer {api_key}".encode()

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        given = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
        if not hmac.compare_digest(given, self._expected):
            refusal = WireError(401, "UNAUTHENTICATED", "a valid API key is required")
            headers = {"WWW-Authenticate": 'Bearer realm="sms-gateway.example"'}
            return answer(refusal.body(), refusal.status, headers)
        return await handler(request)


class _Endpoints:
    def __init__(self, carrier: Carrier) -> None:
        self._carrier = carrier

    async def send(self, request: web.Request) -> web.StreamResponse:
        key = request.headers.get("Idempotency-Key", "")
        if not key or len(key) > KEY_CHARS_MAX:
            message = f"this header is required, at most {KEY_CHARS_MAX} characters"
            raise WireError(400, "INVALID_REQUEST", message, "Idempotency-Key")
        text = text_from(await request.read())
        refuse_by_number(text.to)
        return answer(accepted(self._carrier.accept(key, text)), 202)

    async def get(self, request: web.Request) -> web.StreamResponse:
        message = self._carrier.find(request.match_info["id"])
        if message is None:
            raise WireError(404, "NOT_FOUND", "no message has this id")
        return answer(resource(message, time.time()))


@web.middleware
async def _errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn errors into JSON. Runs inside the faults middleware, which gets them as responses."""
    try:
        return await handler(request)
    except WireError as error:
        return answer(error.body(), error.status, error.headers())
    except web.HTTPException as error:
        code = error.reason.upper().replace(" ", "_")
        return answer(WireError(error.status, code, error.reason).body(), error.status)
