"""The control API of the clearing house: clock, transfers, webhooks. For tests and operators."""

from collections.abc import Iterable
from typing import Any

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, model_validator

from sandbox.partners.ach.book import Transfer
from sandbox.partners.ach.clock import rfc3339
from sandbox.partners.ach.network import AchNetwork
from sandbox.partners.ach.wire import resource
from sandbox.partners.control import ControlError, control_app, number, parsed
from sandbox.partners.faults import Faults
from sandbox.partners.server import answer
from sandbox.partners.webhook_control import add_webhooks
from sandbox.partners.webhooks import Notice

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


def ach_control(network: AchNetwork, faults: Faults) -> web.Application:
    """Return the control app with the clearing house's own routes."""
    app = control_app("ach", faults, network.counts)
    clock = _ClockEndpoints(network)
    app.router.add_get("/control/clock", clock.get)
    app.router.add_post("/control/clock/advance", clock.advance)
    app.router.add_get("/control/transfers", _lister(network))
    app.router.add_get("/control/transfers/{key}", _finder(network))
    add_webhooks(app, network.sender, _Told(network))
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


class _Told:
    """The notices of the clearing house, for the routes of its webhook."""

    def __init__(self, network: AchNetwork) -> None:
        self._network = network

    def of_key(self, key: str) -> list[Notice]:
        transfer = self._network.book.find(key)
        return self._network.events_of(transfer) if transfer is not None else []

    def every(self) -> Iterable[Notice]:
        return (
            event for item in self._network.book.all() for event in self._network.events_of(item)
        )


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
