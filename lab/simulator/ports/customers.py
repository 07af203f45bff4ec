"""Answers payments and transfers like the customers service, over a network that can fail."""

import uuid

import grpc
import grpc.aio
from bp.customers.v1.account_pb2 import Account
from bp.customers.v1.customers_service_pb2 import CheckDebitResponse

from lab.simulator.context import Context
from lab.simulator.processes import ENTITY, Process
from lab.simulator.randomness import Point
from lab.simulator.stores.people import People

_LATENCY = 71


class Customers:
    """A process's client of the customers service."""

    def __init__(self, context: Context, people: People, process: Process) -> None:
        self._loop = context.loop
        self._randomness = context.randomness
        self._people = people
        self._process = process

    async def check_debit(
        self,
        customer_id: uuid.UUID,
        account_id: uuid.UUID,
        destination_account_id: uuid.UUID | None = None,
    ) -> CheckDebitResponse:
        """Return the customer's account and the account to credit."""
        await self._answer()
        owned = self._people.owner.get(account_id) == customer_id
        return CheckDebitResponse(
            account=self._account(account_id) if owned else None,
            destination_account=self._account(destination_account_id),
        )

    def _account(self, account_id: uuid.UUID | None) -> Account | None:
        owner = self._people.owner.get(account_id) if account_id else None
        if owner is None:
            return None
        frozen = account_id in self._people.frozen
        return Account(
            account_id=str(account_id),
            customer_id=str(owner),
            currency_code="USD",
            state=Account.State.FROZEN if frozen else Account.State.ACTIVE,
        )

    async def _answer(self) -> None:
        process, randomness, entity = self._process, self._randomness, ENTITY.get()
        if not process.runs():
            await process.gate()
        await self._loop.pause(randomness.between(0.001, 0.01, _LATENCY, entity))
        if randomness.injects(Point.CUSTOMERS_AWAY, entity):
            nothing = grpc.aio.Metadata()
            raise grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, nothing, nothing)
        if not process.runs():
            await process.gate()
