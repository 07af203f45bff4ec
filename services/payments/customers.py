"""What customers knows of the account to debit, asked over the mesh."""

import uuid
from collections.abc import Sequence

from bp.customers.v1.account_pb2 import Account
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
from services.payments.checks import AccountFacts

TIMEOUT_S = 3.0
"""How long a transfer may wait for the check of its account, of the ten seconds that it has: five
are for the clearing house and two for the debit."""
LIST_TIMEOUT_S = 2.0
"""How long a list may wait for the check, of the three seconds that it has."""


class CustomersClient:
    """Asks whether customers may debit accounts, for several requests at once."""

    def __init__(
        self, stub: CustomersServiceStub, limits: BatchLimits = DEFAULT_BATCH_LIMITS
    ) -> None:
        self._stub = stub
        self._questions = Batcher(self._ask, limits)

    async def account(self, customer_id: uuid.UUID, account_id: uuid.UUID) -> AccountFacts:
        """Return the facts; raise AioRpcError or DependencyUnavailable without an answer."""
        check = CheckDebitRequest(customer_id=str(customer_id), account_id=str(account_id))
        asked = self._questions.submit((current_call.get(), check))
        answer = await answered_within(asked, TIMEOUT_S)
        return AccountFacts(
            exists=answer.HasField("account"),
            active=answer.account.state == Account.State.ACTIVE,
            currency=answer.account.currency_code,
        )

    async def _ask(
        self, questions: Sequence[tuple[Call, CheckDebitRequest]]
    ) -> list[CheckDebitResponse]:
        """Ask for several requests at once; the first one's trace leads on."""
        answer: BatchCheckDebitsResponse = await self._stub.BatchCheckDebits(
            BatchCheckDebitsRequest(requests=[request for _, request in questions]),
            timeout=TIMEOUT_S,
            metadata=onward(questions[0][0]),
        )
        return list(answer.responses)
