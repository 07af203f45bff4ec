"""The clearing house's notices on their way to the bank: lost, repeated, held for days."""

import asyncio
from typing import TYPE_CHECKING, Any

from bp.payments.v1 import payments_service_pb2 as pb
from google.api.httpbody_pb2 import HttpBody

from sandbox.partners.ach.webhooks import signature
from sandbox.simulator.chance import Point
from sandbox.simulator.clearing_house import SECRET
from services.chassis.calls import Call, current_call
from services.kernel.errors import BankError

if TYPE_CHECKING:
    from sandbox.simulator.world import World

ENTITY_OF_NOTICES = 3_000_000
_LATENCY, _SLOT, _AGAIN, _HELD = 101, 102, 103, 104
DEADLINE_S = 10.0


async def deliver(world: "World", body: bytes, header: str) -> tuple[int | None, str]:
    """Carry one notice; return the HTTP status, None when no answer came."""
    chance, entity = world.chance, _entity(body)
    await world.loop.pause(chance.between(0.005, 0.2, _LATENCY, entity))
    if chance.strikes(Point.NOTICE_LOST, entity):
        return None, "lost"
    if chance.strikes(Point.NOTICE_HELD, entity):
        # It waits in a queue for days, perhaps until after the notice that follows it.
        world.outside.spawn(_later(world, body, chance.between(60, 7 * 86_400, _HELD, entity)))
        return 200, ""
    if chance.strikes(Point.NOTICE_TWICE, entity):
        world.outside.spawn(_later(world, body, chance.between(0, 60, _AGAIN, entity)))
    status = await _receive(world, body, header, entity)
    if chance.strikes(Point.NOTICE_ANSWER_LOST, entity):
        return None, "the answer is lost"
    return status, ""


def _entity(body: bytes) -> int:
    return ENTITY_OF_NOTICES + int(body[body.index(b'"id":"') + 6 :][:5], 16)


async def _later(world: "World", body: bytes, delay_s: float) -> None:
    """Deliver a notice again and again until it is taken, from a queue that signs anew."""
    world.notices_under_way += 1
    await world.loop.pause(delay_s)
    while True:
        header = signature(SECRET, body, int(world.wall_s()))
        status = await _receive(world, body, header, _entity(body))
        if status is not None and status < 300:
            world.notices_under_way -= 1
            return
        await world.loop.pause(60)


async def _receive(world: "World", body: bytes, header: str, entity: int) -> int | None:
    slots = world.payments_service.slots
    slot = slots[int(world.chance.between(0, len(slots), _SLOT, entity))]
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
        admit_time=world.now(),
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
