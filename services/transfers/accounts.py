"""What customers knows of the accounts of a transfer, asked through the sidecar."""

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
from services.chassis.call_context import Call
from services.chassis.grpc_client import answered_within, onward
from services.transfers import mapping
from services.transfers.state import KnownAccount


class Accounts:
    """The client of customers."""

    def __init__(
        self,
        channel: grpc.aio.Channel,
        timeout_s: float,
        limits: BatchLimits = DEFAULT_BATCH_LIMITS,
    ) -> None:
        self._customers = CustomersServiceStub(channel)
        self._timeout_s = timeout_s
        self._questions = Batcher(self._ask, limits)

    async def check(
        self,
        call: Call,
        account_id: uuid.UUID,
        destination_id: uuid.UUID | None = None,
        *,
        within_s: float | None = None,
    ) -> tuple[KnownAccount | None, KnownAccount | None]:
        """Return the caller's account and the account to credit; None for an account that does
        not exist or is not the caller's.

        Raises DependencyUnavailable when there is no answer `within_s` seconds, by default the
        client's own limit.
        """
        request = CheckDebitRequest(
            customer_id=call.subject,
            account_id=str(account_id),
            destination_account_id=str(destination_id) if destination_id else "",
        )
        asked = self._questions.submit((call, request))
        answer = await answered_within(asked, within_s or self._timeout_s)
        return (
            mapping.known_account(answer.account) if answer.HasField("account") else None,
            mapping.known_account(answer.destination_account)
            if answer.HasField("destination_account")
            else None,
        )

    async def _ask(
        self, questions: Sequence[tuple[Call, CheckDebitRequest]]
    ) -> list[CheckDebitResponse]:
        """Ask for several requests at once; the first one's trace leads on."""
        answer: BatchCheckDebitsResponse = await self._customers.BatchCheckDebits(
            BatchCheckDebitsRequest(requests=[request for _, request in questions]),
            timeout=self._timeout_s,
            metadata=onward(questions[0][0]),
        )
        return list(answer.responses)
