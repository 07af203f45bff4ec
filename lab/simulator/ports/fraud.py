"""The fraud service and the network to it: it approves, reviews, declines or does not answer."""

from collections.abc import Mapping

import aiohttp
import orjson

from lab.simulator.context import Context
from lab.simulator.ports.exchange import Exchange, Reply
from lab.simulator.processes import ENTITY, Process
from lab.simulator.randomness import Point

_LATENCY, _SCORE = 31, 35
DECLINED_ABOVE_CENTS = 10_000_000


class FraudSession:
    """A process's HTTP session with the fraud service; replaces aiohttp's."""

    def __init__(self, context: Context, process: Process) -> None:
        self._loop = context.loop
        self._randomness = context.randomness
        self._process = process

    def post(self, _url: str, *, data: bytes, headers: Mapping[str, str]) -> Exchange:
        """Ask for the score of an order."""
        return Exchange(self._score(data))

    async def _score(self, data: bytes) -> Reply:
        process, randomness, entity = self._process, self._randomness, ENTITY.get()
        if not process.runs():
            await process.gate()
        await self._loop.pause(randomness.between(0.001, 0.02, _LATENCY, entity))
        if randomness.injects(Point.FRAUD_SILENT, entity):
            raise aiohttp.ServerTimeoutError
        if not process.runs():
            await process.gate()
        amount = orjson.loads(data)["amount"]["minorUnits"]
        score = randomness.pick(1000, _SCORE, entity)
        decision = "DECLINE" if amount > DECLINED_ABOVE_CENTS or score < 20 else "APPROVE"
        decision = "REVIEW" if decision == "APPROVE" and score > 900 else decision
        return Reply(200, orjson.dumps({"decision": decision, "score": score}))
