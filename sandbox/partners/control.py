"""The control API of every partner: health, counts, faults. Plain HTTP on a Unix socket.

A partner adds its own routes to the app that `control_app` returns.
"""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from aiohttp import web
from pydantic import BaseModel, ValidationError

from sandbox.partners.faults import Faults, FaultSpec
from sandbox.partners.server import answer

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
ModelT = TypeVar("ModelT", bound=BaseModel)


class ControlError(Exception):
    """The control API refuses a request; the message says what to change."""

    def __init__(self, status: int, message: str) -> None:
        """Keep the HTTP status with the message."""
        super().__init__(message)
        self.status = status


async def parsed(request: web.Request, kind: type[ModelT]) -> ModelT:
    """Return the request's JSON body as a model; an empty body is an empty object."""
    try:
        return kind.model_validate_json(await request.read() or b"{}")
    except ValidationError as error:
        raise ControlError(400, str(error)) from error


def number(request: web.Request, name: str, default: int, most: int) -> int:
    """Return an integer from the query, between 1 and `most`."""
    text = request.query.get(name, str(default))
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= most:
        raise ControlError(400, f"{name} must be a number from 1 to {most}")
    return int(text)


def control_app(name: str, faults: Faults, counts: Callable[[], dict[str, Any]]) -> web.Application:
    """Return an app with health, state and faults; the partner adds its own routes."""
    app = web.Application(middlewares=[_errors])
    endpoints = _FaultEndpoints(faults)

    async def healthz(_request: web.Request) -> web.StreamResponse:
        return answer({"partner": name, "state": "SERVING"})

    async def state(_request: web.Request) -> web.StreamResponse:
        return answer({"partner": name, **counts(), "faultsFired": faults.fired})

    app.router.add_get("/healthz", healthz)
    app.router.add_get("/control/state", state)
    app.router.add_post("/control/faults", endpoints.add)
    app.router.add_get("/control/faults", endpoints.list)
    app.router.add_delete("/control/faults", endpoints.clear)
    app.router.add_get("/control/faults/{id}", endpoints.get)
    app.router.add_delete("/control/faults/{id}", endpoints.delete)
    return app


class _FaultEndpoints:
    def __init__(self, faults: Faults) -> None:
        self._faults = faults

    async def add(self, request: web.Request) -> web.StreamResponse:
        spec = await parsed(request, FaultSpec)
        try:
            return answer(self._faults.add(spec).view(), 201)
        except ValueError as error:
            raise ControlError(409, str(error)) from error

    async def list(self, _request: web.Request) -> web.StreamResponse:
        return answer({"faults": [fault.view() for fault in self._faults.list()]})

    async def get(self, request: web.Request) -> web.StreamResponse:
        fault = self._faults.get(request.match_info["id"])
        if fault is None:
            raise ControlError(404, "no such fault")
        return answer(fault.view())

    async def delete(self, request: web.Request) -> web.StreamResponse:
        if not self._faults.delete(request.match_info["id"]):
            raise ControlError(404, "no such fault")
        return answer({"deleted": 1})

    async def clear(self, _request: web.Request) -> web.StreamResponse:
        return answer({"deleted": self._faults.clear()})


@web.middleware
async def _errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except ControlError as error:
        return answer({"error": {"code": "CONTROL", "message": str(error)}}, error.status)
    except web.HTTPException as error:
        return answer({"error": {"code": "CONTROL", "message": error.reason}}, error.status)
