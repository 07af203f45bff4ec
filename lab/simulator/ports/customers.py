"""What the customers service answers to payments and transfers, over a network that can fail."""

import uuid
from typing import Any

import grpc
import grpc.aio

from lab.simulator.context import Context
from lab.simulator.processes import ENTITY, Process
from lab.simulator.randomness import Point
from lab.simulator.stores.people import People
from services.payments.checks import AccountFacts
from services.transfers.state import KnownAccount

_LATENCY = 71


class Customers:
    """A process's client of the customers service."""

    def __init__(self, context: Context, people: People, process: Process) -> None:
        self._loop = context.loop
        self._randomness = context.randomness
        self._people = people
        self._process = process

    async def ask_account(self, customer_id: uuid.UUID, account_id: uuid.UUID) -> AccountFacts:
        """Answer payments: is the account the customer's, active, and in which currency?"""
        await self._answer()
        owned = self._people.owner.get(account_id) == customer_id
        return AccountFacts(owned, account_id not in self._people.frozen, "USD" if owned else "")

    async def check(
        self, call: Any, account_id: Any, destination_id: Any = None
    ) -> tuple[KnownAccount | None, KnownAccount | None]:
        """Answer transfers: return the caller's account and the account to credit."""
        await self._answer()
        source = self._known(account_id)
        owned = source is not None and source.customer_id == call.customer_id
        return source if owned else None, self._known(destination_id)

    def _known(self, account_id: Any) -> KnownAccount | None:
        owner = self._people.owner.get(account_id)
        if owner is None:
            return None
        active = account_id not in self._people.frozen
        return KnownAccount(account_id, owner, "USD", debitable=active, creditable=True)

    async def _answer(self) -> None:
        process, randomness, entity = self._process, self._randomness, ENTITY.get()
        if not process.runs():
            await process.gate()
        await self._loop.pause(randomness.between(0.001, 0.01, _LATENCY, entity))
        if randomness.strikes(Point.CUSTOMERS_AWAY, entity):
            nothing = grpc.aio.Metadata()
            raise grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, nothing, nothing)
        if not process.runs():
            await process.gate()
