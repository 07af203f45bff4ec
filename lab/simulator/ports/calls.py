"""Clients' calls to the bank through gateway and mesh; a call can be lost, slow or interrupted.

A client retries until it gets a final answer.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from lab.simulator.context import Context
from lab.simulator.machine import Service
from lab.simulator.processes import ENTITY
from lab.simulator.randomness import Point
from services.chassis.call_context import Call, current_call
from services.chassis.unreachable import is_unreachable
from services.kernel.errors import BankError

TRIES_MAX = 6
FAULTS = (Point.CALL_LOST, Point.CALL_ANSWER_LOST, Point.CALL_SLOW)
DEADLINE_S = 10.0
"""The deadline of CreateInterbankTransfer in its policy."""

_PAUSE, _LATENCY, _WORKER = 59, 60, 61


@dataclass(frozen=True, slots=True)
class Answer:
    """The last answer to a client; empty if no answer came."""

    response: Any = None
    refusal: BankError | None = None

    @property
    def transfer_id(self) -> str:
        """The id of the created transfer; "" if the request was refused or never answered."""
        return self.response.transfer.transfer_id if self.response is not None else ""


class Calls:
    """The connection from a client to any worker of a service."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._loop = context.loop
        self._randomness = context.randomness

    async def until_told(
        self,
        service: Service,
        key: str,
        customer_id: uuid.UUID,
        method: str,
        request: Any,
    ) -> Answer:
        """Call until a final answer comes, which no retry would change."""
        randomness, number = self._randomness, ENTITY.get()
        for attempt in range(TRIES_MAX):
            slot = service.slots[int(randomness.between(0, len(service.slots), _WORKER, number))]
            call = self._call(key, customer_id)
            told = await self._once(slot.process.spawn, slot.methods[method], call, request)
            if told is not None and (told.refusal is None or told.refusal.retry_after_s is None):
                return told
            await self._loop.pause(randomness.between(0.2, 2.0 * 2**attempt, _PAUSE, number))
        return Answer()

    async def _once(
        self,
        spawn: Callable[..., "asyncio.Task[Any]"],
        method: Callable[[Any, Any], Awaitable[Any]],
        call: Call,
        request: Any,
    ) -> Answer | None:
        """Call once. Return None if no answer came or the bank was unavailable."""
        randomness, number = self._randomness, ENTITY.get()
        await self._loop.pause(randomness.between(0.001, 0.02, _LATENCY, number))
        fault = randomness.which(FAULTS, number)
        if fault is Point.CALL_LOST:
            return None
        if fault is Point.CALL_SLOW:
            await self._loop.pause(randomness.between(1, 2 * DEADLINE_S, _LATENCY, number))

        async def serve() -> Any:
            current_call.set(call)
            return await method(request, None)

        task = spawn(serve(), number)
        if not await self._ends_in_time(task):
            # As the server's boundary does at the deadline.
            task.cancel()
            return None
        error = task.exception()
        if fault is Point.CALL_ANSWER_LOST:
            return None
        if isinstance(error, BankError):
            return Answer(refusal=error)
        if error is not None and is_unreachable(error):
            return None
        if error is not None:
            self._context.fail("an answer is never a defect", repr(error))
            return None
        return Answer(task.result())

    async def _ends_in_time(self, task: "asyncio.Task[Any]") -> bool:
        """Wait for a call up to its deadline: asyncio.wait for one task, in fewer steps."""
        ended = self._loop.create_future()

        def end(_: object) -> None:
            if not ended.done():
                ended.set_result(None)

        timer = self._loop.call_later(DEADLINE_S, end, None)
        task.add_done_callback(end)
        await ended
        timer.cancel()
        return task.done()

    def _call(self, key: str, customer_id: uuid.UUID) -> Call:
        return Call(
            method="",
            caller="gateway",
            subject=str(customer_id),
            scopes=frozenset(),
            idempotency_key=key,
            request_id=f"request-{key}",
            traceparent="",
            metadata={},
            admit_time=self._context.clock.now(),
        )
