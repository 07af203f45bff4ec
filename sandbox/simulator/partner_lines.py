"""The way to the partners: stands where aiohttp's session and the sidecar stand.

A request may be lost, answered into the void, repeated, or arrive long after its caller gave up.
"""

import asyncio
from collections.abc import Awaitable, Mapping
from typing import TYPE_CHECKING, Any, Self

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
REFUSED = 10_000_000
"""Above it the fraud service declines."""


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

    def __await__(self) -> Any:
        return self._answer.__await__()

    def itself(self) -> Self:
        """Return the exchange."""
        return self


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
        await self._process.gate()
        await asyncio.sleep(world.chance.between(0.001, 0.02, _LATENCY, entity))
        if world.chance.strikes(Point.FRAUD_SILENT, entity):
            raise aiohttp.ServerTimeoutError
        await self._process.gate()
        amount = orjson.loads(data)["amount"]["minorUnits"]
        score = world.chance.pick(1000, _SCORE, entity)
        decision = "DECLINE" if amount > REFUSED or score < 20 else "APPROVE"
        decision = "REVIEW" if decision == "APPROVE" and score > 900 else decision
        return Reply(200, orjson.dumps({"decision": decision, "score": score}))

    async def _clearing_house(
        self, method: str, url: str, body: bytes, headers: Mapping[str, str]
    ) -> Reply:
        world, process, entity = self._world, self._process, ENTITY.get()
        chance = world.chance
        await process.gate()
        if "/participants/" not in url:
            world.note("%s asks %s %s", process.name, method, url)
        if chance.strikes(Point.ACH_CRASH_BEFORE, entity):
            await world.crash(process, "before it asks the clearing house")
        await asyncio.sleep(chance.between(0.005, 0.1, _LATENCY, entity))
        self._fail_before(entity, (method, url, body, headers))
        if world.outage():
            await self._silence(entity, "outage")
        if chance.strikes(Point.ACH_REQUEST_LOST, entity):
            await self._silence(entity, "the request is lost")
        reply = Reply(*await world.house.serve(method, url, body, headers))
        if chance.strikes(Point.ACH_TWICE, entity):
            self._arrives_later((method, url, body, headers), entity)
        if chance.strikes(Point.ACH_ANSWER_LOST, entity):
            await self._silence(entity, f"the answer {reply.status} is lost")
        if chance.strikes(Point.ACH_ERROR_AFTER, entity):
            return Reply(502, b"upstream connect error")
        if chance.strikes(Point.ACH_SLOW, entity):
            await asyncio.sleep(chance.between(1, 25, _SLOW, entity))
        if chance.strikes(Point.ACH_CRASH_AFTER, entity):
            await world.crash(process, f"after the clearing house answered {reply.status}")
        await process.gate()
        if "/participants/" not in url:
            world.note("it answers %s %s", reply.status, reply)
        return reply

    def _fail_before(self, entity: int, request: tuple[str, str, bytes, Mapping[str, str]]) -> None:
        chance = self._world.chance
        if chance.strikes(Point.ACH_LATE, entity):
            self._world.note("the request will arrive late")
            self._arrives_later(request, entity)
            raise aiohttp.ServerTimeoutError
        if chance.strikes(Point.ACH_ERROR_BEFORE, entity):
            raise aiohttp.ClientConnectionResetError

    def _arrives_later(
        self, request: tuple[str, str, bytes, Mapping[str, str]], entity: int
    ) -> None:
        world = self._world
        # Mostly soon, sometimes hours later: a queue on the way can be long.
        delay_s = LATE_S_MAX ** world.chance.between(0, 1, _LATE, entity)

        async def arrive() -> None:
            await asyncio.sleep(delay_s)
            status, _ = await world.house.serve(*request)
            world.note("late arrival of %s %s: %s", request[0], request[3], status)

        world.outside.spawn(arrive())

    async def _silence(self, entity: int, why: str) -> None:
        self._world.note("no answer: %s", why)
        await asyncio.sleep(self._world.chance.between(1, GIVE_UP_S, _SLOW, entity))
        await self._process.gate()
        raise aiohttp.ServerTimeoutError
