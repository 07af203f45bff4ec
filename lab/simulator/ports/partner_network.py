"""The network between payments and the clearing house, which loses, delays and repeats requests.

`PartnerSession` replaces aiohttp's session and the sidecar. A request may arrive long after its
caller gave up.
"""

import uuid
from collections.abc import Mapping

import aiohttp
import orjson

from lab.simulator.context import Context
from lab.simulator.ports.clearing_house import ClearingHouse
from lab.simulator.ports.exchange import Exchange, Reply
from lab.simulator.processes import ENTITY, Process
from lab.simulator.randomness import Point
from lab.simulator.stores.database import Row

_LATENCY, _SLOW, _LATE = 31, 32, 33
GIVE_UP_S = 12.0
LATE_S_MAX = 4 * 3600.0
OUTAGE_S = 600.0
Request = tuple[str, str, bytes, Mapping[str, str]]
"""Method, address, body, headers."""

OUTAGES = 4_000_000
"""Outages have entities from this number on."""

DIRECTORY = 5_000_000
"""Added to the entity of a query to the directory of banks."""

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


def key_of(request: Request) -> str:
    """Return the key that a request carries, "" for a query to the directory."""
    _, url, body, headers = request
    if "Idempotency-Key" in headers:
        return headers["Idempotency-Key"]
    if body:
        return str(orjson.loads(body)["idempotencyKey"])
    return url.partition("idempotencyKey=")[2]


class PartnerNetwork:
    """What all sessions share: outages, and requests that are still on their way."""

    def __init__(
        self,
        context: Context,
        outside: Process,
        house: ClearingHouse,
        transfers: Mapping[uuid.UUID, Row],
    ) -> None:
        """`transfers` are the rows of payments, each with the key of a client's operation."""
        self._context = context
        self._outside = outside
        self._house = house
        self._transfers = transfers
        self._outages: dict[int, bool] = {}

    def session(self, process: Process) -> "PartnerSession":
        """Return a process's session."""
        return PartnerSession(self._context, self, self._house, process)

    def entity_of(self, key: str) -> int:
        """Return the entity of a request: the transfer's operation, whichever worker sends it."""
        row = self._transfers.get(uuid.UUID(key)) if key else None
        return ENTITY.get() if row is None else int(row["idempotency_key"][1:])

    def is_out(self) -> bool:
        """Return whether the clearing house is unreachable in the current ten minutes."""
        window = OUTAGES + int(self._context.loop.now_s / OUTAGE_S)
        if window not in self._outages:
            self._outages[window] = self._context.randomness.injects(Point.ACH_OUTAGE, window)
        return self._outages[window]

    def arrives_later(self, request: Request, entity: int) -> None:
        """Let a request arrive after a while, when its caller no longer waits for the answer."""
        context = self._context
        # Mostly soon, sometimes hours later: a queue on the way can be long.
        delay_s = LATE_S_MAX ** context.randomness.between(0, 1, _LATE, entity)

        async def arrive() -> None:
            await context.loop.pause(delay_s)
            status, _ = await self._house.serve(*request)
            context.note("arrives late: %s %s: %s", request[0], key_of(request), status)

        self._outside.spawn(arrive())


class PartnerSession:
    """A process's HTTP session with the clearing house; replaces aiohttp's."""

    def __init__(
        self, context: Context, network: PartnerNetwork, house: ClearingHouse, process: Process
    ) -> None:
        self._context = context
        self._network = network
        self._house = house
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
        return Exchange(self._ask((method, url, data or b"", headers or {})))

    async def _ask(self, request: Request) -> Reply:
        context, process = self._context, self._process
        method, url, _, _ = request
        is_asked, key = "/participants/" not in url, key_of(request)
        entity = self._network.entity_of(key)
        if not process.runs():
            await process.gate()
        # A worker queries the directory only once, so this query needs separate draws.
        entity += 0 if is_asked else DIRECTORY
        fault = context.randomness.which(FAULTS, entity)
        if is_asked:
            what = {"GET": "QUERY", "POST": "RECALL" if "cancel" in url else "SUBMIT"}[method]
            context.note("%s asks: %s %s", process.name, what, key)
        if fault is Point.ACH_CRASH_BEFORE:
            await context.crash(process, "before it asks the clearing house")
        await context.loop.pause(context.randomness.between(0.005, 0.1, _LATENCY, entity))
        await self._fail_before(fault, request, entity)
        reply = Reply(*await self._house.serve(*request))
        if is_asked:
            context.note("the clearing house answers %s %s", key, reply.status)
        await self._fail_after(fault, request, entity, reply)
        if fault is Point.ACH_ERROR_AFTER:
            return Reply(502, b"upstream connect error")
        if not process.runs():
            await process.gate()
        return reply

    async def _fail_before(self, fault: Point | None, request: Request, entity: int) -> None:
        if self._network.is_out():
            await self._silence(entity, "outage")
        match fault:
            case Point.ACH_REQUEST_LOST:
                await self._silence(entity, "the request is lost")
            case Point.ACH_LATE:
                self._network.arrives_later(request, entity)
                await self._silence(entity, f"{request[0]} {key_of(request)} is late")
            case Point.ACH_ERROR_BEFORE:
                raise aiohttp.ClientConnectionResetError
            case _:
                pass

    async def _fail_after(
        self, fault: Point | None, request: Request, entity: int, reply: Reply
    ) -> None:
        context = self._context
        match fault:
            case Point.ACH_TWICE:
                self._network.arrives_later(request, entity)
            case Point.ACH_ANSWER_LOST:
                await self._silence(entity, f"the answer {reply.status} is lost")
            case Point.ACH_SLOW:
                await context.loop.pause(context.randomness.between(1, 25, _SLOW, entity))
            case Point.ACH_CRASH_AFTER:
                await context.crash(self._process, f"after the answer {reply.status}")
            case _:
                pass

    async def _silence(self, entity: int, why: str) -> None:
        context = self._context
        context.note("no answer: %s", why)
        await context.loop.pause(context.randomness.between(1, GIVE_UP_S, _SLOW, entity))
        if not self._process.runs():
            await self._process.gate()
        raise aiohttp.ServerTimeoutError
