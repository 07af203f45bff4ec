"""The clearing house's notices on their way to the bank: lost, repeated or delayed for days."""

import asyncio
from typing import Any

from bp.payments.v1 import payments_service_pb2 as pb
from google.api.httpbody_pb2 import HttpBody

from lab.simulator.context import Context
from lab.simulator.machine import Service
from lab.simulator.ports.clearing_house import SECRET
from lab.simulator.processes import Process
from lab.simulator.randomness import Point
from sandbox.partners.webhooks import signature
from services.chassis.call_context import Call, current_call
from services.kernel.errors import BankError

ENTITY_OF_NOTICES = 3_000_000
_LATENCY, _SLOT, _AGAIN, _HELD = 101, 102, 103, 104
DEADLINE_S = 10.0


class Notices:
    """The network from the clearing house to the workers of payments."""

    def __init__(self, context: Context, outside: Process, payments: Service) -> None:
        self._context = context
        self._outside = outside
        self._payments = payments
        self.in_flight = 0
        """Notices in a queue: held, or repeated."""

    async def deliver(self, body: bytes, header: str) -> tuple[int | None, str]:
        """Carry one notice. Return the HTTP status (None: no answer came) and a text."""
        randomness, entity = self._context.randomness, _entity(body)
        await self._context.loop.pause(randomness.between(0.005, 0.2, _LATENCY, entity))
        if randomness.injects(Point.NOTICE_LOST, entity):
            return None, "lost"
        if randomness.injects(Point.NOTICE_HELD, entity):
            # It is held in a queue for days, perhaps until the next notice has arrived.
            delay_s = randomness.between(60, 7 * 86_400, _HELD, entity)
            self._outside.spawn(self._later(body, delay_s))
            return 200, ""
        if randomness.injects(Point.NOTICE_GONE, entity, in_calm=True):
            # It is acknowledged and never arrives; only a query informs the bank. A late return
            # happens days after all operations, so this fault also occurs at the end.
            return 200, ""
        if randomness.injects(Point.NOTICE_TWICE, entity):
            delay_s = randomness.between(0, 60, _AGAIN, entity)
            self._outside.spawn(self._later(body, delay_s))
        status = await self._receive(body, header, entity)
        if randomness.injects(Point.NOTICE_ANSWER_LOST, entity):
            return None, "the answer is lost"
        return status, ""

    async def _later(self, body: bytes, delay_s: float) -> None:
        """Deliver a notice until the bank takes it, from a queue that signs each attempt again."""
        self.in_flight += 1
        await self._context.loop.pause(delay_s)
        while True:
            header = signature(SECRET, body, int(self._context.clock.wall_s()))
            status = await self._receive(body, header, _entity(body))
            if status is not None and status < 300:
                self.in_flight -= 1
                return
            await self._context.loop.pause(60)

    async def _receive(self, body: bytes, header: str, entity: int) -> int | None:
        slots = self._payments.slots
        slot = slots[int(self._context.randomness.between(0, len(slots), _SLOT, entity))]
        method = slot.methods["notice"]
        call = Call(
            method="",
            caller="gateway",
            subject="",
            scopes=frozenset(),
            idempotency_key="",
            request_id="notice",
            traceparent="",
            metadata={"ach-signature": header},
            admit_time=self._context.clock.now(),
        )

        async def serve() -> Any:
            current_call.set(call)
            request = pb.ReceiveAchWebhookRequest(body=HttpBody(data=body))
            return await method(request, None)

        task = slot.process.spawn(serve(), entity)
        done, _ = await asyncio.wait({task}, timeout=DEADLINE_S)
        if not done:
            task.cancel()
            return None
        if task.exception() is None:
            return 200
        return 400 if isinstance(task.exception(), BankError) else 503


def _entity(body: bytes) -> int:
    return ENTITY_OF_NOTICES + int(body[body.index(b'"id":"') + 6 :][:5], 16)
