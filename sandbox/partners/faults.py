"""Faults on demand: a middleware that breaks chosen requests, and the rules that choose them.

A fault has an endpoint (glob of "METHOD path") and, optionally, an amount or body fields. It fires
every time, or `count` times, or at a `rate` from its own seeded random numbers. Standing faults
are a partner's permanent triggers (magic amounts and names); they cannot be deleted.
"""

import asyncio
import itertools
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import parse_qsl

import orjson
from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from sandbox.partners.fault_kinds import Kind
from sandbox.partners.server import answer

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Scalar = str | int | float | bool | None

HANG_MS = 3_600_000
POLL_S = 0.1
FAULTS_MAX = 200


class Params(BaseModel):
    """The parameters of a fault; each kind uses its own and ignores the others."""

    model_config = ConfigDict(extra="forbid")
    ms: int | None = Field(default=None, ge=0, le=HANG_MS)
    status: int | None = Field(default=None, ge=200, le=599)
    reason: str = ""
    message: str = ""
    retry_after_s: int | None = Field(default=None, ge=0)
    apply: bool = False
    body: Any = None
    fields: dict[str, Any] = Field(default_factory=dict)


class FaultSpec(BaseModel):
    """A fault as a client sends it to the control API."""

    model_config = ConfigDict(extra="forbid")
    kind: Kind
    endpoint: str = "*"
    count: int | None = Field(default=None, ge=1)
    rate: float | None = Field(default=None, ge=0, le=1)
    amount_minor_units: int | None = None
    match: dict[str, Scalar] = Field(default_factory=dict)
    params: Params = Field(default_factory=Params)
    seed: int | None = None


@dataclass(slots=True)
class Fault:
    """An active fault, with its counters."""

    id: str
    spec: FaultSpec
    left: int | None
    dice: random.Random
    fired: int = 0

    def view(self) -> dict[str, Any]:
        """Return the fault as the control API shows it."""
        spec = self.spec.model_dump(mode="json", exclude_defaults=True)
        return {"id": self.id, **spec, "fired": self.fired, "left": self.left}


@dataclass(slots=True)
class Standing:
    """Permanent triggers, looked up by the amount or the name in the body."""

    endpoint: str
    by_amount: Mapping[int, FaultSpec] = field(default_factory=dict)
    by_name: Mapping[str, FaultSpec] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error answer: HTTP status, the protocol's error code, and a message."""

    status: int
    code: str
    message: str


def _endpoint(request: web.Request) -> str:
    return f"{request.method} {request.path}"


def _json_error(refusal: Refusal) -> web.Response:
    body = {"error": {"code": refusal.code, "message": refusal.message}}
    return answer(body, refusal.status)


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a partner's protocol names its endpoints and writes its errors; the default is REST."""

    endpoint: Callable[[web.Request], str] = _endpoint
    """Returns the text that a fault's glob is compared with."""
    error: Callable[[Refusal], web.Response] = _json_error
    unavailable: Refusal = Refusal(503, "SERVICE_UNAVAILABLE", "the service is not available")
    """The default of an `http_5xx` fault."""
    rejected: Refusal = Refusal(422, "REJECTED", "refused by a fault rule")
    """The default of a `reject` fault."""


REST = Dialect()


class Faults:
    """The faults of one partner. `middleware` belongs in its app's list of middlewares."""

    def __init__(self, standing: Standing | None = None, dialect: Dialect = REST) -> None:
        """Start with only the standing faults."""
        self._faults: dict[str, Fault] = {}
        self._standing = standing
        self._dialect = dialect
        self._ids = itertools.count(1)
        self.fired = 0

    def add(self, spec: FaultSpec) -> Fault:
        """Activate a fault; the newest is tried first."""
        if len(self._faults) >= FAULTS_MAX:
            raise ValueError(f"at most {FAULTS_MAX} faults are allowed; delete some")
        number = next(self._ids)
        seed = spec.seed if spec.seed is not None else number
        fault = Fault(f"fault-{number}", spec, spec.count, random.Random(seed))
        self._faults = {fault.id: fault, **self._faults}
        return fault

    def list(self) -> list[Fault]:
        """Return all faults, including used-up ones, the newest first."""
        return list(self._faults.values())

    def get(self, fault_id: str) -> Fault | None:
        """Return a fault by its id, None when there is none."""
        return self._faults.get(fault_id)

    def delete(self, fault_id: str) -> bool:
        """Delete a fault; return False when there is none."""
        return self._faults.pop(fault_id, None) is not None

    def clear(self) -> int:
        """Delete all faults and return how many there were."""
        count = len(self._faults)
        self._faults.clear()
        return count

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Pass the request on, or apply the first fault that matches."""
        if not self._faults and self._standing is None:
            return await handler(request)
        spec = await self._choose(request, self._dialect.endpoint(request))
        if spec is None:
            return await handler(request)
        self.fired += 1
        if spec.kind is Kind.REJECT:
            return self._refused(spec.params, self._dialect.rejected)
        if spec.kind is Kind.HTTP_5XX:
            if spec.params.apply:
                await handler(request)
            return self._refused(spec.params, self._dialect.unavailable)
        return await _EFFECTS[spec.kind](spec.params, request, handler)

    def _refused(self, params: Params, default: Refusal) -> web.Response:
        status = params.status or default.status
        code, message = params.reason or default.code, params.message or default.message
        if params.body is not None:
            made = answer(params.body, status)
        else:
            made = self._dialect.error(Refusal(status, code, message))
        if params.retry_after_s:
            made.headers["Retry-After"] = str(params.retry_after_s)
        return made

    async def _choose(self, request: web.Request, endpoint: str) -> FaultSpec | None:
        hits = [f for f in self._faults.values() if fnmatchcase(endpoint, f.spec.endpoint)]
        standing = self._standing
        stands = standing is not None and fnmatchcase(endpoint, standing.endpoint)
        if not hits and not stands:
            return None
        fields = await _fields(request)
        for fault in hits:
            if _applies(fault, fields):
                fault.fired += 1
                return fault.spec
        return _standing_spec(standing, fields) if standing is not None and stands else None


def _applies(fault: Fault, fields: dict[str, Any]) -> bool:
    """Return whether the fault fires. Only matching requests change count and random numbers."""
    spec = fault.spec
    if fault.left == 0:
        return False
    if spec.amount_minor_units not in (None, _amount(fields)):
        return False
    if any(_at(fields, path) != value for path, value in spec.match.items()):
        return False
    if spec.rate is not None and fault.dice.random() >= spec.rate:
        return False
    if fault.left is not None:
        fault.left -= 1
    return True


def _standing_spec(standing: Standing, fields: dict[str, Any]) -> FaultSpec | None:
    amount, name = _amount(fields), fields.get("name")
    if isinstance(amount, int) and amount in standing.by_amount:
        return standing.by_amount[amount]
    return standing.by_name.get(name) if isinstance(name, str) else None


async def _fields(request: web.Request) -> dict[str, Any]:
    """Return query and body (JSON or form) as one dictionary; an invalid body adds no fields."""
    fields: dict[str, Any] = dict(request.query)
    body = await request.read()
    if request.content_type == "application/x-www-form-urlencoded":
        fields.update(parse_qsl(body.decode("utf-8", "replace")))
    elif body:
        try:
            parsed = orjson.loads(body)
        except orjson.JSONDecodeError:
            return fields
        if isinstance(parsed, dict):
            fields.update(parsed)
    return fields


def _at(fields: dict[str, Any], path: str) -> Any:
    """Return the value at a dotted path such as `beneficiary.name`; None when there is none."""
    value: Any = fields
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _amount(fields: dict[str, Any]) -> Any:
    return _at(fields, "amount.minorUnits")


async def _latency(params: Params, request: web.Request, handler: Handler) -> web.StreamResponse:
    await asyncio.sleep((1000 if params.ms is None else params.ms) / 1000)
    return await handler(request)


async def _hang(params: Params, request: web.Request, _handler: Handler) -> web.StreamResponse:
    """Send nothing until the caller disconnects or the time ends, then break the connection."""
    loop = asyncio.get_running_loop()
    end = loop.time() + (HANG_MS if params.ms is None else params.ms) / 1000
    while loop.time() < end:
        if request.transport is None or request.transport.is_closing():
            break
        await asyncio.sleep(POLL_S)
    return _abort(request)


async def _reset(params: Params, request: web.Request, handler: Handler) -> web.StreamResponse:
    if params.apply:
        await handler(request)
    return _abort(request)


async def _accept_then_hang(
    params: Params, request: web.Request, handler: Handler
) -> web.StreamResponse:
    await handler(request)
    return await _hang(params, request, handler)


async def _slow_body(params: Params, request: web.Request, handler: Handler) -> web.StreamResponse:
    """Send the real answer, its body spread evenly over the given time."""
    real = await handler(request)
    body = real.body if isinstance(real, web.Response) and isinstance(real.body, bytes) else b""
    slow = web.StreamResponse(status=real.status, headers=real.headers)
    slow.content_length = len(body)
    await slow.prepare(request)
    pause_s = (5000 if params.ms is None else params.ms) / 1000 / max(1, len(body))
    for byte in body:
        await slow.write(bytes((byte,)))
        await asyncio.sleep(pause_s)
    await slow.write_eof()
    return slow


async def _wrong_answer(
    params: Params, request: web.Request, handler: Handler
) -> web.StreamResponse:
    """Apply the effect; replace the answer (`body`), alter it (`fields`) or cut it short."""
    real = await handler(request)
    text = real.body if isinstance(real, web.Response) and isinstance(real.body, bytes) else b""
    status = real.status if params.status is None else params.status
    if params.body is not None:
        return answer(params.body, status)
    if params.fields:
        return answer({**orjson.loads(text), **params.fields}, status)
    return web.Response(body=text[: len(text) // 2], status=status, content_type="application/json")


def _abort(request: web.Request) -> web.StreamResponse:
    """Break the connection without an answer; the returned response is never sent."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=503)


_EFFECTS: dict[Kind, Callable[[Params, web.Request, Handler], Awaitable[web.StreamResponse]]] = {
    Kind.LATENCY: _latency,
    Kind.HANG: _hang,
    Kind.RESET: _reset,
    Kind.ACCEPT_THEN_HANG: _accept_then_hang,
    Kind.SLOW_BODY: _slow_body,
    Kind.WRONG_ANSWER: _wrong_answer,
}
