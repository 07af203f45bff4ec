"""The client of customers: concurrent checks are one call, and no caller waits forever."""

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
from services.chassis.customers_client import CustomersClient
from services.kernel.clock import utc_now
from services.kernel.errors import DependencyUnavailable


class Recorder:
    """A fake channel to customers that knows every account and records each call."""

    def __init__(self) -> None:
        self.calls: list[tuple[list[str], str]] = []

    def unary_unary(self, *_: Any, **__: Any) -> Any:
        return self._answer

    async def _answer(
        self, request: BatchCheckDebitsRequest, *, timeout: float, metadata: Sequence[Any]
    ) -> BatchCheckDebitsResponse:
        account_ids = [check.account_id for check in request.requests]
        self.calls.append((account_ids, dict(metadata)["x-request-id"]))
        await asyncio.sleep(0)
        return BatchCheckDebitsResponse(
            responses=[
                CheckDebitResponse(account=Account(account_id=account_id))
                for account_id in account_ids
            ]
        )


class Silent:
    """A fake channel to customers that never answers."""

    def unary_unary(self, *_: Any, **__: Any) -> Any:
        async def hang(*_: Any, **__: Any) -> Any:
            await asyncio.Future()

        return hang


def _serve_call(request_id: str) -> None:
    """Give the current task its own incoming call."""
    current_call.set(Call("", "gateway", "", frozenset(), "", request_id, "", {}, utc_now()))


async def _check(client: CustomersClient, request_id: str) -> str:
    """Check an account as a call's handler does; return the account's id."""
    account_id = uuid.uuid4()
    _serve_call(request_id)
    answer = await client.check_debit(uuid.uuid4(), account_id)
    assert answer.account.account_id == str(account_id)
    return str(account_id)


async def test_a_batch_is_one_call_with_the_trace_of_its_first_caller() -> None:
    recorder = Recorder()
    client = CustomersClient(cast("Any", recorder), 3.0, BatchLimits(interval_s=0.0, items_max=2))
    names = ("a", "b", "c", "d")
    accounts = await asyncio.gather(
        *(asyncio.create_task(_check(client, request_id)) for request_id in names)
    )
    assert recorder.calls == [(list(accounts[:2]), "a"), (list(accounts[2:]), "c")]


async def test_callers_in_the_queue_get_an_error_while_customers_does_not_answer() -> None:
    """Two batches block the queue. Without the client's timeout, the others would wait until their
    callers' deadlines."""
    limits = BatchLimits(interval_s=0, items_max=1, batches_max=2)
    client = CustomersClient(cast("Any", Silent()), 0.05, limits)
    _serve_call("a")
    checks = [
        asyncio.create_task(client.check_debit(uuid.uuid4(), uuid.uuid4())) for _ in range(10)
    ]
    outcomes = await asyncio.gather(*checks, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [DependencyUnavailable] * 10


async def test_a_caller_may_wait_for_less_time_than_the_client_does() -> None:
    client = CustomersClient(cast("Any", Silent()), 3600.0)
    _serve_call("a")
    check = client.check_debit(uuid.uuid4(), uuid.uuid4(), within_s=0.05)
    (outcome,) = await asyncio.gather(check, return_exceptions=True)
    assert isinstance(outcome, DependencyUnavailable)
