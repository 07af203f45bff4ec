"""The way to the partners: stands where aiohttp's session and the sidecar stand.

A request may be lost, answered into the void, repeated, or arrive long after its caller gave up.
"""

from collections.abc import Awaitable, Mapping
from typing import TYPE_CHECKING

import aiohttp
import orjson

from sandbox.simulator.chance import Point
from sandbox.simulator.processes import ENTITY, Process

if TYPE_CHECKING:
    from sandbox.simulator.world import World

_LATENCY, _SLOW, _LATE, _KIND, _SCORE = 31, 32, 33, 34, 35
GIVE_UP_S = 12.0
LATE_S_MAX = 4 * 3600.0
OUTAGE_S = 600.0
Request = tuple[str, str, bytes, Mapping[str, str]]
"""Method, address, body, headers."""

DIRECTORY = 5_000_000
"""Added to the entity of a question to the directory of banks."""

FAULTS = (
    Point.ACH_REQUEST_LOST,
    Point.ACH_ANSWER_LOST,
    Point.ACH_LATE,
    Point.ACH_TWICE,
    Point.ACH_ERROR_BEFORE,
    Point.ACH_ERROR_AFTER,
    Point.ACH_SLOW,
    Point.ACH_CRASH_BEFORE,
    Point.ACH_CRASH_AFTER,
)

REFUSED = 10_000_000
"""Above it the fraud service declines."""


def key_of(request: Request) -> str:
    """Return the key that a request carries, "" for a question to the directory."""
    _, url, body, headers = request
    if "Idempotency-Key" in headers:
        return headers["Idempotency-Key"]
    if body:
        return str(orjson.loads(body)["idempotencyKey"])
    return url.partition("idempotencyKey=")[2]


class Reply:
    """An answer as aiohttp gives it."""

    def __init__(self, status: int, body: bytes) -> None:
        self.status = status
        self._body = body

    async def read(self) -> bytes:
        """Return the body."""
        return self._body


class Exchange:
    """One request and its answer."""

    def __init__(self, answer: Awaitable[Reply]) -> None:
        self._answer = answer

    async def __aenter__(self) -> Reply:
        return await self._answer

    async def __aexit__(self, *_: object) -> None:
        return None


class PartnerSession:
    """A process's way to the partners."""

    def __init__(self, world: "World", process: Process) -> None:
        self._world = world
        self._process = process

    def request(
        self,
        method: str,
        url: str,
        *,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Exchange:
        """Ask the clearing house."""
        return Exchange(self._clearing_house(method, url, data or b"", headers or {}))

    def post(self, _url: str, *, data: bytes, headers: Mapping[str, str]) -> Exchange:
        """Ask the fraud service."""
        return Exchange(self._fraud(data))

    async def _fraud(self, data: bytes) -> Reply:
        world, entity = self._world, ENTITY.get()
        if not self._process.runs():
            await self._process.gate()
        await world.loop.pause(world.chance.between(0.001, 0.02, _LATENCY, entity))
        if world.chance.strikes(Point.FRAUD_SILENT, entity):
            raise aiohttp.ServerTimeoutError
        if not self._process.runs():
            await self._process.gate()
        amount = orjson.loads(data)["amount"]["minorUnits"]
        score = world.chance.pick(1000, _SCORE, entity)
        decision = "DECLINE" if amount > REFUSED or score < 20 else "APPROVE"
        decision = "REVIEW" if decision == "APPROVE" and score > 900 else decision
        return Reply(200, orjson.dumps({"decision": decision, "score": score}))

    async def _clearing_house(
        self, method: str, url: str, body: bytes, headers: Mapping[str, str]
    ) -> Reply:
        world, process = self._world, self._process
        request = (method, url, body, headers)
        is_asked, key = "/participants/" not in url, key_of(request)
        # Whoever drives a transfer, its luck with the clearing house is its own.
        entity = world.numbers.get(key, ENTITY.get())
        if not process.runs():
            await process.gate()
        # The directory is asked only by who has not asked it: its luck must be its own.
        entity += 0 if is_asked else DIRECTORY
        fault = world.chance.which(FAULTS, entity)
        if is_asked:
            what = {"GET": "QUERY", "POST": "RECALL" if "cancel" in url else "SUBMIT"}[method]
            world.note("%s asks: %s %s", process.name, what, key)
        if fault is Point.ACH_CRASH_BEFORE:
            await world.crash(process, "before it asks the clearing house")
        await world.loop.pause(world.chance.between(0.005, 0.1, _LATENCY, entity))
        await self._fail_before(fault, request, entity)
        reply = Reply(*await world.house.serve(*request))
        if is_asked:
            world.note("the clearing house answers %s %s", key, reply.status)
        await self._fail_after(fault, request, entity, reply)
        if fault is Point.ACH_ERROR_AFTER:
            return Reply(502, b"upstream connect error")
        if not process.runs():
            await process.gate()
        return reply

    async def _fail_before(self, fault: Point | None, request: Request, entity: int) -> None:
        if self._world.outage():
            await self._silence(entity, "outage")
        match fault:
            case Point.ACH_REQUEST_LOST:
                await self._silence(entity, "the request is lost")
            case Point.ACH_LATE:
                self._arrives_later(request, entity)
                await self._silence(entity, f"{request[0]} {key_of(request)} is late")
            case Point.ACH_ERROR_BEFORE:
                raise aiohttp.ClientConnectionResetError
            case _:
                pass

    async def _fail_after(
        self, fault: Point | None, request: Request, entity: int, reply: Reply
    ) -> None:
        world = self._world
        match fault:
            case Point.ACH_TWICE:
                self._arrives_later(request, entity)
            case Point.ACH_ANSWER_LOST:
                await self._silence(entity, f"the answer {reply.status} is lost")
            case Point.ACH_SLOW:
                await world.loop.pause(world.chance.between(1, 25, _SLOW, entity))
            case Point.ACH_CRASH_AFTER:
                await world.crash(self._process, f"after the answer {reply.status}")
            case _:
                pass

    def _arrives_later(self, request: Request, entity: int) -> None:
        world = self._world
        # Mostly soon, sometimes hours later: a queue on the way can be long.
        delay_s = LATE_S_MAX ** world.chance.between(0, 1, _LATE, entity)

        async def arrive() -> None:
            await world.loop.pause(delay_s)
            status, _ = await world.house.serve(*request)
            world.note("arrives late: %s %s: %s", request[0], key_of(request), status)

        world.outside.spawn(arrive())

    async def _silence(self, entity: int, why: str) -> None:
        self._world.note("no answer: %s", why)
        await self._world.loop.pause(self._world.chance.between(1, GIVE_UP_S, _SLOW, entity))
        if not self._process.runs():
            await self._process.gate()
        raise aiohttp.ServerTimeoutError
