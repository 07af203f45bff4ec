"""The client of customers: it checks the accounts of debits that other services plan.

Concurrent checks of one process share one BatchCheckDebits call. The answers are messages of the
contract; each service's mapping.py converts them.
"""

import uuid
from collections.abc import Sequence

import grpc.aio
from bp.customers.v1.customers_service_pb2 import (
    BatchCheckDebitsRequest,
    BatchCheckDebitsResponse,
    CheckDebitRequest,
    CheckDebitResponse,
)
from bp.customers.v1.customers_service_pb2_grpc import CustomersServiceStub

from services.chassis.batching import DEFAULT_BATCH_LIMITS, Batcher, BatchLimits
from services.chassis.call_context import Call, current_call
from services.chassis.grpc_client import answered_within, onward


class CustomersClient:
    """Asks customers about planned debits, in batches."""

    def __init__(
        self,
        channel: grpc.aio.Channel,
        timeout_s: float,
        limits: BatchLimits = DEFAULT_BATCH_LIMITS,
    ) -> None:
        self._stub = CustomersServiceStub(channel)
        self._timeout_s = timeout_s
        self._checks = Batcher(self._check_each, limits)

    async def check_debit(
        self,
        customer_id: uuid.UUID,
        account_id: uuid.UUID,
        destination_account_id: uuid.UUID | None = None,
        *,
        within_s: float | None = None,
    ) -> CheckDebitResponse:
        """Return the customer's account and the account to credit.

        An account is absent when it does not exist. The debited account is also absent when it is
        not the customer's.

        Raises DependencyUnavailable when no answer arrives within `within_s` seconds (by default
        the client's timeout), and AioRpcError when the customers service is unreachable.
        """
        request = CheckDebitRequest(
            customer_id=str(customer_id),
            account_id=str(account_id),
            destination_account_id=str(destination_account_id) if destination_account_id else "",
        )
        answer = self._checks.submit((current_call.get(), request))
        return await answered_within(answer, within_s or self._timeout_s)

    async def _check_each(
        self, checks: Sequence[tuple[Call, CheckDebitRequest]]
    ) -> list[CheckDebitResponse]:
        """Send the checks of a batch in one call, which carries the trace of the first one."""
        first_call, _ = checks[0]
        answer: BatchCheckDebitsResponse = await self._stub.BatchCheckDebits(
            BatchCheckDebitsRequest(requests=[request for _, request in checks]),
            timeout=self._timeout_s,
            metadata=onward(first_call),
        )
        return list(answer.responses)
