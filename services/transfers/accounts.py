"""What customers knows of the accounts of a transfer, asked through the sidecar."""

import uuid

import grpc.aio
from bp.customers.v1 import customers_service_pb2, customers_service_pb2_grpc

from services.chassis.calls import Call
from services.chassis.grpc_client import onward
from services.transfers import mapping
from services.transfers.state import KnownAccount


class Accounts:
    """The client of customers."""

    def __init__(self, channel: grpc.aio.Channel, timeout_s: float) -> None:
        self._customers = customers_service_pb2_grpc.CustomersServiceStub(channel)
        self._timeout_s = timeout_s

    async def check(
        self, call: Call, account_id: uuid.UUID, destination_id: uuid.UUID | None = None
    ) -> tuple[KnownAccount | None, KnownAccount | None]:
        """Return the caller's account and the one to credit; None for what is not (theirs)."""
        request = customers_service_pb2.CheckDebitRequest(
            customer_id=call.subject,
            account_id=str(account_id),
            destination_account_id=str(destination_id) if destination_id else "",
        )
        answer = await self._customers.CheckDebit(
            request, timeout=self._timeout_s, metadata=onward(call)
        )
        return (
            mapping.known_account(answer.account) if answer.HasField("account") else None,
            mapping.known_account(answer.destination_account)
            if answer.HasField("destination_account")
            else None,
        )
