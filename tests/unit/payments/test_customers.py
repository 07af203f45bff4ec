"""Questions to customers that come together are one call, under the trace of one of them."""

import asyncio
import uuid
from collections.abc import Sequence
from typing import Any, cast

from bp.customers.v1.account_pb2 import Account
from bp.customers.v1.customers_service_pb2 import (
    BatchCheckDebitsRequest,
    BatchCheckDebitsResponse,
    CheckDebitResponse,
)

from services.chassis.batching import BatchLimits
from services.chassis.call_context import Call, current_call
from services.kernel.clock import utc_now
from services.payments.customers import CustomersClient


class Recorder:
    """Says of each account that it is there, and remembers how it was asked."""

    def __init__(self) -> None:
        self.calls: list[tuple[list[str], str]] = []

    async def BatchCheckDebits(
        self, request: BatchCheckDebitsRequest, *, timeout: float, metadata: Sequence[Any]
    ) -> BatchCheckDebitsResponse:
        asked = [one.account_id for one in request.requests]
        self.calls.append((asked, dict(metadata)["x-request-id"]))
        await asyncio.sleep(0)
        accounts = [
            Account(account_id=one, currency_code="USD", state=Account.State.ACTIVE)
            for one in asked
        ]
        return BatchCheckDebitsResponse(
            responses=[CheckDebitResponse(account=account) for account in accounts]
        )


async def _ask(client: CustomersClient, request_id: str) -> str:
    """Ask as the handler of a call does, in a task of its own; return the account's id."""
    account_id = uuid.uuid4()
    current_call.set(Call("", "gateway", "", frozenset(), "", request_id, "", {}, utc_now()))
    facts = await client.account(uuid.uuid4(), account_id)
    assert (facts.exists, facts.active, facts.currency) == (True, True, "USD")
    return str(account_id)


async def test_a_group_is_asked_in_one_call_under_the_trace_of_its_own_first_caller() -> None:
    recorder = Recorder()
    client = CustomersClient(cast("Any", recorder), BatchLimits(interval_s=0.0, items_max=2))
    names = ("a", "b", "c", "d")
    accounts = await asyncio.gather(
        *(asyncio.create_task(_ask(client, request_id)) for request_id in names)
    )
    assert recorder.calls == [(list(accounts[:2]), "a"), (list(accounts[2:]), "c")]
