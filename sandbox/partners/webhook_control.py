"""The control API's routes for a partner's webhook: show, hold, drain and redeliver its notices."""

from collections.abc import Iterable
from typing import Protocol

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, model_validator

from sandbox.partners.control import ControlError, parsed
from sandbox.partners.server import answer
from sandbox.partners.webhooks import Notice, NoticeSender, Tamper


class Told(Protocol):
    """All notices of a partner, delivered or not."""

    def of_key(self, key: str) -> list[Notice]:
        """Return the notices about the order with an idempotency key."""
        ...

    def every(self) -> Iterable[Notice]:
        """Return the notices about every order."""
        ...


class _Drain(BaseModel):
    model_config = ConfigDict(extra="forbid")
    timeout_ms: int = Field(default=30_000, ge=0, le=600_000)


class _Redeliver(BaseModel):
    """Exactly one choice: all dead notices, one by id, or all of an order."""

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


def add_webhooks(app: web.Application, sender: NoticeSender, told: Told) -> None:
    """Add the routes to a partner's control app."""
    endpoints = _Endpoints(sender, told)
    app.router.add_get("/control/webhooks", endpoints.show)
    app.router.add_post("/control/webhooks/redeliver", endpoints.redeliver)
    app.router.add_post("/control/webhooks/drain", endpoints.drain)
    app.router.add_post("/control/webhooks/hold", endpoints.hold)
    app.router.add_post("/control/webhooks/release", endpoints.release)


class _Endpoints:
    def __init__(self, sender: NoticeSender, told: Told) -> None:
        self._sender = sender
        self._told = told

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
        if body.idempotency_key is not None:
            events = self._told.of_key(body.idempotency_key)
        else:
            events = [event for event in self._told.every() if event.id == body.id]
        if not events:
            raise ControlError(404, "no notice has this id or idempotency key")
        return events

    async def drain(self, request: web.Request) -> web.StreamResponse:
        body = await parsed(request, _Drain)
        drained = await self._sender.drain(body.timeout_ms / 1000)
        return answer({"drained": drained, **self._sender.counts()}, 200 if drained else 504)

    async def hold(self, _request: web.Request) -> web.StreamResponse:
        self._sender.hold()
        return answer({"held": True})

    async def release(self, _request: web.Request) -> web.StreamResponse:
        self._sender.release()
        return answer({"held": False})
