"""One idempotency key creates at most one transfer, even if calls are lost or repeated."""

import asyncio
import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest
from bp.customers.v1.customers_service_pb2_grpc import (
    CustomersServiceServicer,
    add_CustomersServiceServicer_to_server,
)
from bp.transfers.v1 import transfers_service_pb2 as pb

from ops.waiting import scaled_s
from services.chassis.call_context import Call, answer_headers, current_call
from services.chassis.customers_client import CustomersClient
from services.chassis.page_tokens import PageTokens
from services.kernel.clock import utc_now
from services.kernel.errors import IdempotencyKeyReused
from services.transfers import handlers
from services.transfers.holders import HoldersClient
from tests.integration.transfers.test_batches import order_of, post, transfer
from tests.rigs.book_transfer_calls import new_key, order
from tests.rigs.ledger_bank import LedgerBank
from tests.rigs.services_in_process import Running
from tests.rigs.sidecar_calls import from_customer, open_channel, raw_call, refusal

CREATE = "/bp.transfers.v1.TransfersService/CreateBookTransfer"
HANGS_S = 3600.0
CALL = Call(
    method=CREATE,
    caller="gateway",
    subject="",
    scopes=frozenset(),
    idempotency_key="",
    request_id="",
    traceparent="",
    metadata={},
    admit_time=utc_now(),
    partner="",
)


class _Silent(CustomersServiceServicer):
    """A customers service that is stopped."""

    async def BatchCheckDebits(self, request: Any, context: Any) -> Any:
        """Do not answer."""
        await asyncio.sleep(HANGS_S)


async def test_one_key_from_fifty_connections_makes_one_transfer_and_one_body(
    bank: LedgerBank, transfers: Running
):
    payer, payee = await bank.open_holder(10_000), await bank.open_holder()
    request = order(payer.account_id, payee.account_id, 700, memo="once")
    key = new_key()

    async def attempt() -> bytes:
        async with open_channel(str(transfers.settings.socket_in)) as channel:
            metadata = from_customer(payer.customer_id, key)
            return await raw_call(channel, CREATE, request, metadata)

    bodies = await asyncio.gather(*(attempt() for _ in range(50)))
    assert len(set(bodies)) == 1
    assert await bank.held(payer.account_id) == (9_300, 2)
    assert await bank.held(payee.account_id) == (700, 1)


async def test_a_replay_says_so_in_a_header(bank: LedgerBank, transfers_stub):
    payer, payee = await bank.open_holder(10_000), await bank.open_holder()
    metadata = from_customer(payer.customer_id, new_key())
    told: list[Any] = []
    for cents in (700, 700, 20_000_000_00):
        call = transfers_stub.CreateBookTransfer(
            order(payer.account_id, payee.account_id, cents), metadata=metadata
        )
        told.append(dict(await call.initial_metadata()).get("idempotent-replayed"))
    assert told == [None, "true", None]


async def test_a_replay_does_not_wait_for_customers(
    bank: LedgerBank, transfers: Running, tmp_path: Path
):
    """Customers takes each call and does not answer, like a process that is stopped."""
    made = transfer(await bank.open_holder(10_000), await bank.open_holder(), 700)
    known = order_of(made)
    first = await post(transfers.store, made, known)
    silent = grpc.aio.server()
    add_CustomersServiceServicer_to_server(_Silent(), silent)
    silent.add_insecure_port(f"unix:{tmp_path}/silent.sock")
    await silent.start()
    try:
        async with open_channel(f"{tmp_path}/silent.sock") as channel:
            deps = handlers.Dependencies(
                transfers.settings,
                transfers.store,
                CustomersClient(channel, HANGS_S),
                HoldersClient(channel, HANGS_S),
                PageTokens(b"sealed by the test"),
            )
            headers: dict[str, str] = {}
            answer_headers.set(headers)
            current_call.set(CALL)
            again = handlers.create_book_transfer(deps, known, None)
            assert await asyncio.wait_for(again, scaled_s(5)) == first
            assert headers == {"idempotent-replayed": "true"}
            other = handlers.create_book_transfer(
                deps, replace(known, fingerprint=b"other".ljust(32)), None
            )
            with pytest.raises(IdempotencyKeyReused):
                await asyncio.wait_for(other, scaled_s(5))
    finally:
        await silent.stop(None)


async def test_a_key_with_another_payload_is_refused_even_if_that_would_be_refused_anyway(
    bank: LedgerBank, transfers_stub
):
    payer, payee = await bank.open_holder(10_000), await bank.open_holder()
    metadata = from_customer(payer.customer_id, new_key())
    await transfers_stub.CreateBookTransfer(
        order(payer.account_id, payee.account_id, 700), metadata=metadata
    )
    for cents in (701, -1, 50_000):
        other = order(payer.account_id, payee.account_id, cents)
        call = transfers_stub.CreateBookTransfer(other, metadata=metadata)
        assert await refusal(call) == (grpc.StatusCode.ALREADY_EXISTS, "IDEMPOTENCY_KEY_REUSED")
    assert await bank.held(payer.account_id) == (9_300, 2)


async def test_a_refusal_does_not_use_up_the_key(bank: LedgerBank, transfers_stub):
    payer, payee = await bank.open_holder(100), await bank.open_holder(1_000)
    request = order(payer.account_id, payee.account_id, 700)
    metadata = from_customer(payer.customer_id, new_key())
    call = transfers_stub.CreateBookTransfer(request, metadata=metadata)
    assert (await refusal(call))[1] == "INSUFFICIENT_FUNDS"
    await transfers_stub.CreateBookTransfer(
        order(payee.account_id, payer.account_id, 1_000),
        metadata=from_customer(payee.customer_id, new_key()),
    )
    await transfers_stub.CreateBookTransfer(request, metadata=metadata)
    assert await bank.held(payer.account_id) == (400, 3)


async def test_an_accepted_transfer_is_replayed_after_the_account_was_frozen(
    bank: LedgerBank, transfers_channel: grpc.aio.Channel
):
    payer, payee = await bank.open_holder(10_000), await bank.open_holder()
    request = order(payer.account_id, payee.account_id, 700)
    metadata = from_customer(payer.customer_id, new_key())
    first = await raw_call(transfers_channel, CREATE, request, metadata)
    customers = await bank.superuser("bp_customers")
    await customers.execute(
        "UPDATE customers.account SET state = 'FROZEN' WHERE account_id = $1", payer.account_id
    )
    assert await raw_call(transfers_channel, CREATE, request, metadata) == first
    assert await bank.held(payer.account_id) == (9_300, 2)


async def test_keys_belong_to_their_customer(bank: LedgerBank, transfers_stub):
    one, two = await bank.open_holder(1_000), await bank.open_holder(1_000)
    key = new_key()
    for payer, payee in ((one, two), (two, one)):
        await transfers_stub.CreateBookTransfer(
            order(payer.account_id, payee.account_id, 300),
            metadata=from_customer(payer.customer_id, key),
        )
    assert await bank.held(one.account_id) == (1_000, 3)


async def test_a_transfer_without_a_key_is_refused(bank: LedgerBank, transfers_stub):
    payer, payee = await bank.open_holder(1_000), await bank.open_holder()
    request: pb.CreateBookTransferRequest = order(payer.account_id, payee.account_id, 5)
    call = transfers_stub.CreateBookTransfer(request, metadata=from_customer(payer.customer_id))
    assert (await refusal(call))[1] == "IDEMPOTENCY_KEY_MISSING"


async def test_a_request_in_capitals_that_an_earlier_version_accepted_is_replayed(
    bank: LedgerBank, transfers_channel: grpc.aio.Channel
):
    payer, payee = await bank.open_holder(10_000), await bank.open_holder()
    request = order(payer.account_id, payee.account_id, 700)
    request.account_id = request.account_id.upper()
    request.destination_account_id = request.destination_account_id.upper()
    key = new_key()
    metadata = from_customer(payer.customer_id, key)
    first = await raw_call(transfers_channel, CREATE, request, metadata)
    # The earlier version's fingerprint is the digest of the request as it was sent.
    sent = b"bp.transfers.v1.CreateBookTransferRequest\0" + request.SerializeToString()
    write = await bank.superuser("bp_write")
    changed = await write.execute(
        "UPDATE payments.idempotency_key SET fingerprint = $2 WHERE idempotency_key = $1",
        key,
        hashlib.sha256(sent).digest(),
    )
    assert changed == "UPDATE 1"
    assert await raw_call(transfers_channel, CREATE, request, metadata) == first
    request.memo = "another"
    with pytest.raises(grpc.aio.AioRpcError, match="ALREADY_EXISTS"):
        await raw_call(transfers_channel, CREATE, request, metadata)
    assert await bank.held(payer.account_id) == (9_300, 2)
