"""The clearing house's public API: translates HTTP to calls of AchNetwork and back.

Callers need a client certificate of the partners' authority (TLS) with an allowed common name,
and the API key.
"""

import hmac
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from sandbox.partners.ach.book import BookError, TooLateError
from sandbox.partners.ach.network import AchNetwork
from sandbox.partners.ach.routing_numbers import known_banks
from sandbox.partners.ach.wire import (
    accepted,
    key_from_cancel,
    order_from,
    participant,
    resource,
)
from sandbox.partners.faults import Faults
from sandbox.partners.refusals import WireError
from sandbox.partners.server import REQUEST_BYTES_MAX, answer
from sandbox.partners.settings import AchSettings

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
PAGE_DEFAULT = 100
PAGE_MAX = 1000
KEY_CHARS_MAX = 255
UNPROCESSABLE = 422


def ach_app(settings: AchSettings, network: AchNetwork, faults: Faults) -> web.Application:
    """Return the app of the public port."""
    guard = _Guard(settings)
    app = web.Application(
        middlewares=[guard.middleware, faults.middleware, errors],
        client_max_size=REQUEST_BYTES_MAX,
    )
    endpoints = Endpoints(network)
    app.router.add_post("/ach/transfer", endpoints.submit)
    app.router.add_get("/ach/transfer", endpoints.find)
    app.router.add_post("/ach/transfer/cancel", endpoints.cancel)
    app.router.add_get("/ach/transfers", endpoints.list)
    app.router.add_get("/ach/participants", endpoints.participants)
    app.router.add_get("/ach/participants/{routing}", endpoints.participant)
    return app


class _Guard:
    """Checks the caller: the certificate's common name, then the API key."""

    def __init__(self, settings: AchSettings) -> None:
        self._key = settings.api_key.encode()
        self._names = frozenset(settings.client_names)

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if _common_name(request) not in self._names:
            return _refused(403, "CLIENT_NOT_ALLOWED", "this certificate may not call")
        given = request.headers.get("X-Api-Key", "").encode()
        if not hmac.compare_digest(given, self._key):
            return _refused(401, "INVALID_API_KEY", "header X-Api-Key is missing or wrong")
        return await handler(request)


class Endpoints:
    """The endpoints, one method each."""

    def __init__(self, network: AchNetwork) -> None:
        self._network = network

    async def submit(self, request: web.Request) -> web.StreamResponse:
        """Accept a transfer, or refuse it."""
        key = _key(request.headers.get("Idempotency-Key", ""), "header Idempotency-Key")
        try:
            order = order_from(await request.read())
        except WireError as refusal:
            # A malformed body (400) is not recorded; a refused request (422) is recorded with its
            # code.
            if refusal.status == UNPROCESSABLE:
                self._network.reject(key, refusal.code)
            raise
        transfer = self._network.submit(key, order)
        trace = self._network.trace_of(transfer)
        return answer(accepted(transfer, trace, self._network.schedule), 202)

    async def find(self, request: web.Request) -> web.StreamResponse:
        """Read a transfer by its idempotency key."""
        key = _key(request.query.get("idempotencyKey", ""), "query idempotencyKey")
        transfer = self._network.find(key)
        if transfer is None:
            raise WireError(404, "NOT_FOUND", "no transfer has this idempotency key")
        trace = self._network.trace_of(transfer)
        return answer(resource(transfer, trace, self._network.schedule))

    async def cancel(self, request: web.Request) -> web.StreamResponse:
        """Cancel a transfer, or keep a tombstone."""
        key = key_from_cancel(await request.read())
        try:
            transfer = self._network.cancel(key)
        except TooLateError as error:
            return self._too_late(key, error)
        trace = self._network.trace_of(transfer)
        return answer({"state": transfer.state, "achTraceNumber": trace})

    async def participants(self, _request: web.Request) -> web.StreamResponse:
        """List the directory."""
        return answer({"participants": [participant(number) for number in known_banks()]})

    async def participant(self, request: web.Request) -> web.StreamResponse:
        """Read one bank of the directory."""
        return answer(participant(request.match_info["routing"]))

    async def list(self, request: web.Request) -> web.StreamResponse:
        """Read a page of the accepted transfers."""
        start = _count(request, "cursor", 0, 10_000_000)
        limit = _count(request, "limit", PAGE_DEFAULT, PAGE_MAX)
        self._network.catch_up()
        page = self._network.book.page(start, limit)
        plan, trace_of = self._network.schedule, self._network.trace_of
        more = bool(self._network.book.page(start + limit, 1))
        return answer(
            {
                "transfers": [resource(item, trace_of(item), plan) for item in page],
                "nextCursor": str(start + limit) if more else None,
            }
        )

    def _too_late(self, key: str, error: TooLateError) -> web.Response:
        """Return the refusal with the transfer's state and trace, so that no query is needed."""
        transfer = self._network.book.find(key)
        body = WireError(409, error.code, str(error)).body()
        if transfer is not None:
            trace = self._network.trace_of(transfer)
            body = {**body, "state": transfer.state, "achTraceNumber": trace}
        return answer(body, 409)


@web.middleware
async def errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn errors into JSON. Runs inside the faults middleware, which gets them as responses."""
    try:
        return await handler(request)
    except WireError as error:
        return answer(error.body(), error.status)
    except BookError as error:
        return _refused(409, error.code, str(error))
    except web.HTTPException as error:
        return _refused(error.status, error.reason.upper().replace(" ", "_"), error.reason)


def _refused(status: int, code: str, message: str) -> web.Response:
    return answer(WireError(status, code, message).body(), status)


def _common_name(request: web.Request) -> str:
    """Return the common name of the client's certificate; TLS has verified its signature."""
    cert: dict[str, Any] = request.get_extra_info("peercert") or {}
    for part in cert.get("subject", ()):
        for name, value in part:
            if name == "commonName":
                return value
    return ""


def _key(text: str, where: str) -> str:
    if not text or len(text) > KEY_CHARS_MAX:
        message = f"{where} is required, at most {KEY_CHARS_MAX} characters"
        raise WireError(400, "MISSING_IDEMPOTENCY_KEY", message)
    return text


def _count(request: web.Request, name: str, default: int, most: int) -> int:
    text = request.query.get(name) or str(default)
    if not (text.isascii() and text.isdigit() and int(text) <= most):
        raise WireError(400, "INVALID_REQUEST", f"a number up to {most} is expected", name)
    return int(text)
