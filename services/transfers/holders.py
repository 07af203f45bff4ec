"""Asks customers for the names of this bank's account holders on a statement."""

import uuid
from collections.abc import Collection, Mapping

import grpc.aio
import structlog
from bp.customers.v1.customers_service_pb2 import BatchGetHoldersRequest, BatchGetHoldersResponse
from bp.customers.v1.customers_service_pb2_grpc import CustomersServiceStub

from services.chassis.call_context import current_call
from services.chassis.grpc_client import onward
from services.transfers import mapping
from services.transfers.statement import Holder

log = structlog.get_logger()


class HoldersClient:
    """The client of customers.

    A statement without names is better than no statement: its amounts come from the books. So
    without an answer, the names are missing. During a release, an older version of customers does
    not have the call.
    """

    def __init__(self, channel: grpc.aio.Channel, timeout_s: float) -> None:
        self._stub = CustomersServiceStub(channel)
        self._timeout_s = timeout_s

    async def of(self, account_ids: Collection[uuid.UUID]) -> Mapping[uuid.UUID, Holder]:
        """Return the holders of up to 100 accounts, in one call; nothing without an answer."""
        if not account_ids:
            return {}
        request = BatchGetHoldersRequest(account_ids=[str(one) for one in account_ids])
        try:
            answer: BatchGetHoldersResponse = await self._stub.BatchGetHolders(
                request, timeout=self._timeout_s, metadata=onward(current_call.get())
            )
        except grpc.aio.AioRpcError as error:
            log.warning("holders.unknown", code=error.code().name)
            return {}
        return mapping.known_holders(answer)
