"""The control API of the clearing house: clock, transfers, webhooks. For tests and operators."""

from typing import Any

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, model_validator

from sandbox.partners.ach.book import Transfer
from sandbox.partners.ach.clock import rfc3339
from sandbox.partners.ach.network import AchNetwork
from sandbox.partners.ach.notices import Notice, Tamper
from sandbox.partners.ach.wire import resource
from sandbox.partners.control import ControlError, control_app, number, parsed
from sandbox.partners.faults import Faults
from sandbox.partners.server import answer

PAGE_DEFAULT = 100
PAGE_MAX = 1000


class _Advance(BaseModel):
    """Exactly one unit. `drain_timeout_ms` bounds the wait for the notices that became due."""

    model_config = ConfigDict(extra="forbid")
    days: int | None = Field(default=None, ge=0, le=3660)
    banking_days: int | None = Field(default=None, ge=0, le=2600)
    seconds: float | None = Field(default=None, ge=0, le=316_224_000)
    drain_timeout_ms: int = Field(default=5000, ge=0, le=600_000)

    @model_validator(mode="after")
    def _one_unit(self) -> "_Advance":
        if sum(unit is not None for unit in (self.days, self.banking_days, self.seconds)) != 1:
            raise ValueError("give exactly one of days, banking_days, seconds")
        return self


class _Drain(BaseModel):
    model_config = ConfigDict(extra="forbid")
    timeout_ms: int = Field(default=30_000, ge=0, le=600_000)


class _Redeliver(BaseModel):
    """Exactly one choice: all dead notices, one by id, or all of a transfer."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)
    dead: bool = False
    id: str | None = None
    idempotency_key: str | None = Field(default=None, alias="idempotencyKey")
    tamper: Tamper | None = None

    @model_validator(mode="after")
    def _one_choice(self) -> "_Redeliver":
        if sum((self.dead, self.id is not None, self.idempotency_key is not None)) != 1:
            raise ValueError("give exactly one of dead, id, idempotencyKey")
        if self.dead and self.tamper is not None:
            raise ValueError("tamper needs id or idempotencyKey")
        return self


def ach_control(network: AchNetwork, faults: Faults) -> web.Application:
    """Return the control app with the clearing house's own routes."""
    app = control_app("ach", faults, network.counts)
    clock, webhooks = _ClockEndpoints(network), _WebhookEndpoints(network)
    app.router.add_get("/control/clock", clock.get)
    app.router.add_post("/control/clock/advance", clock.advance)
    app.router.add_get("/control/transfers", _lister(network))
    app.router.add_get("/control/transfers/{key}", _finder(network))
    app.router.add_get("/control/webhooks", webhooks.show)
    app.router.add_post("/control/webhooks/redeliver", webhooks.redeliver)
    app.router.add_post("/control/webhooks/drain", webhooks.drain)
    app.router.add_post("/control/webhooks/hold", webhooks.hold)
    app.router.add_post("/control/webhooks/release", webhooks.release)
    return app


class _ClockEndpoints:
    def __init__(self, network: AchNetwork) -> None:
        self._network = network

    async def get(self, _request: web.Request) -> web.StreamResponse:
        now, due = self._network.clock.now(), self._network.book.next_due()
        shown = {
            "now": rfc3339(now),
            "running": self._network.clock.is_running,
            "processingDate": self._network.schedule.processing_day(now).isoformat(),
            "nextDue": rfc3339(due) if due is not None else None,
        }
        return answer(shown)

    async def advance(self, request: web.Request) -> web.StreamResponse:
        body = await parsed(request, _Advance)
        done = self._network.advance_to(self._target(body))
        sender = self._network.sender
        before = sender.delivered
        await sender.drain(body.drain_timeout_ms / 1000)
        webhooks = {
            "queued": done.webhooks,
            "delivered": sender.delivered - before,
            "pending": len(sender.pending),
            "dead": len(sender.dead),
        }
        times = {"from": rfc3339(done.before), "to": rfc3339(done.after)}
        return answer({**times, "transfers": done.states, "webhooks": webhooks})

    def _target(self, body: _Advance) -> float:
        now, plan = self._network.clock.now(), self._network.schedule
        if body.days is not None:
            return plan.after_days(now, body.days)
        if body.banking_days is not None:
            return plan.after_banking_days(now, body.banking_days)
        return now + (body.seconds or 0.0)


class _WebhookEndpoints:
    def __init__(self, network: AchNetwork) -> None:
        self._network = network
        self._sender = network.sender

    async def show(self, _request: web.Request) -> web.StreamResponse:
        return answer(
            {
                "pending": [event.view() for event in self._sender.pending.values()],
                "dead": [event.view() for event in self._sender.dead.values()],
            }
        )

    async def redeliver(self, request: web.Request) -> web.StreamResponse:
        body = await parsed(request, _Redeliver)
        if body.dead:
            return answer({"queued": self._sender.revive()})
        events = self._chosen(body)
        if body.tamper is not None:
            answers = [await self._sender.send_tampered(e, body.tamper) for e in events]
            return answer({"answers": answers})
        return answer({"queued": self._sender.enqueue(events)})

    def _chosen(self, body: _Redeliver) -> list[Notice]:
        book = self._network.book
        if body.idempotency_key is not None:
            transfer = book.find(body.idempotency_key)
            events = self._network.events_of(transfer) if transfer is not None else []
        else:
            every = (event for item in book.all() for event in self._network.events_of(item))
            events = [event for event in every if event.id == body.id]
        if not events:
            raise ControlError(404, "no notice has this id or idempotency key")
        return events

    async def drain(self, request: web.Request) -> web.StreamResponse:
        body = await parsed(request, _Drain)
        drained = await self._sender.drain(body.timeout_ms / 1000)
        webhooks: dict[str, Any] = self._network.counts()["webhooks"]
        return answer({"drained": drained, **webhooks}, 200 if drained else 504)

    async def hold(self, _request: web.Request) -> web.StreamResponse:
        self._sender.hold()
        return answer({"held": True})

    async def release(self, _request: web.Request) -> web.StreamResponse:
        self._sender.release()
        return answer({"held": False})


def _shown(network: AchNetwork, transfer: Transfer) -> dict[str, Any]:
    events = [
        {**event.view(), "delivery": _delivery(network, event)}
        for event in network.events_of(transfer)
    ]
    plan = transfer.ending
    return {
        **resource(transfer, network.trace_of(transfer), network.schedule),
        "processingDate": str(transfer.processing_day) if transfer.processing_day else None,
        "plannedReturn": plan.return_code,
        "plannedReturnIsLate": plan.is_late,
        "webhooks": events,
    }


def _delivery(network: AchNetwork, event: Notice) -> str:
    if event.id in network.sender.pending:
        return "pending"
    return "dead" if event.id in network.sender.dead else "delivered"


def _finder(network: AchNetwork) -> Any:
    async def find(request: web.Request) -> web.StreamResponse:
        key = request.match_info["key"]
        transfer = network.find(key)
        if transfer is None and key.isdigit() and len(key) == 15:
            transfer = network.book.find_sequence(int(key[8:]))
        if transfer is None:
            raise ControlError(404, "no transfer has this idempotency key or trace number")
        return answer(_shown(network, transfer))

    return find


def _lister(network: AchNetwork) -> Any:
    async def list_transfers(request: web.Request) -> web.StreamResponse:
        cursor = request.query.get("cursor", "0")
        if not (cursor.isascii() and cursor.isdigit()):
            raise ControlError(400, "cursor must be the nextCursor of an earlier page")
        limit = number(request, "limit", PAGE_DEFAULT, PAGE_MAX)
        network.catch_up()
        page = network.book.page(int(cursor), limit)
        end = int(cursor) + len(page)
        more = bool(network.book.page(end, 1))
        shown = [_shown(network, item) for item in page]
        return answer({"transfers": shown, "nextCursor": str(end) if more else None})

    return list_transfers
