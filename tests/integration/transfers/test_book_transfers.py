"""What a book transfer changes in the books, and when it is refused."""

import asyncio
import uuid
from datetime import timedelta

import asyncpg
import grpc
import pytest
from bp.transfers.v1 import transfers_events_pb2
from bp.transfers.v1 import transfers_service_pb2 as pb

from ops.waiting import until
from services.chassis.postgres import connect
from tests.rigs.book_transfer_calls import new_key, order
from tests.rigs.host_speed import waited_out_s
from tests.rigs.ledger_bank import Holder, LedgerBank
from tests.rigs.sidecar_calls import from_customer, refusal

LONGEST_WAIT_FOR_A_LOCK = """
    SELECT coalesce(max(clock_timestamp() - query_start), interval '0') FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock'
"""


async def refused(stub, payer: Holder, request, key: str = "") -> tuple[grpc.StatusCode, str]:
    """Return code and reason of a transfer that must be refused."""
    metadata = from_customer(payer.customer_id, key or new_key())
    return await refusal(stub.CreateBookTransfer(request, metadata=metadata))


async def test_a_transfer_moves_the_amount_and_leaves_one_event(bank: LedgerBank, transfers_stub):
    payer, payee = await bank.open_holder(10_000), await bank.open_holder(500)
    answer = await transfers_stub.CreateBookTransfer(
        order(payer.account_id, payee.account_id, 2_500, memo="rent"),
        metadata=from_customer(payer.customer_id, new_key()),
    )
    assert await bank.held(payer.account_id) == (7_500, 2)
    assert await bank.held(payee.account_id) == (3_000, 2)
    transfer_id = uuid.UUID(answer.transfer.transfer_id)
    assert transfer_id.bytes[15] & 63 == payer.account_id.bytes[15] & 63
    write = await bank.superuser("bp_write")
    (row,) = await write.fetch("SELECT * FROM outbox.event WHERE subject = $1", transfer_id)
    event = transfers_events_pb2.TransferEvent.FromString(row["payload"])
    assert event.book_transfer_posted.transfer == answer.transfer
    assert event.book_transfer_posted.destination_customer_id == str(payee.customer_id)
    assert (row["topic"], row["key"]) == ("transfers", payer.account_id)
    assert {p["account_id"]: p["balance"] for p in row["positions"]} == {
        payer.account_id: 7_500,
        payee.account_id: 3_000,
    }


async def test_of_fifty_concurrent_transfers_of_the_whole_balance_exactly_one_is_posted(
    bank: LedgerBank, transfers_stub
):
    payer, payee = await bank.open_holder(8_000), await bank.open_holder()
    request = order(payer.account_id, payee.account_id, 8_000)

    async def attempt() -> str:
        call = transfers_stub.CreateBookTransfer(
            request, metadata=from_customer(payer.customer_id, new_key())
        )
        try:
            await call
        except grpc.aio.AioRpcError:
            return (await refusal(call))[1]
        return "POSTED"

    outcomes = await asyncio.gather(*(attempt() for _ in range(50)))
    assert sorted(outcomes) == ["INSUFFICIENT_FUNDS"] * 49 + ["POSTED"]
    assert await bank.held(payer.account_id) == (0, 2)
    assert await bank.held(payee.account_id) == (8_000, 1)


async def test_opposite_transfers_at_once_do_not_deadlock_and_conserve_money(
    bank: LedgerBank, transfers_stub
):
    holders = [await bank.open_holder(100_000) for _ in range(3)]

    async def move(n: int) -> None:
        payer, payee = holders[n % 3], holders[(n + 1 + n % 2) % 3]
        await transfers_stub.CreateBookTransfer(
            order(payer.account_id, payee.account_id, 100 + n),
            metadata=from_customer(payer.customer_id, new_key()),
        )

    await asyncio.gather(*(move(n) for n in range(90)))
    held = [await bank.held(holder.account_id) for holder in holders]
    assert sum(balance for balance, _ in held) == 300_000
    assert sum(position for _, position in held) == 3 + 2 * 90


async def test_a_transfer_waits_for_a_slow_check_of_its_accounts_as_long_as_it_has_time(
    bank: LedgerBank, transfers_stub
):
    """With a shorter timeout, it got DEPENDENCY_UNAVAILABLE after two of its five seconds."""
    payer, payee = await bank.open_holder(1_000), await bank.open_holder()
    holder = await bank.postgres.session("postgres", "bp_customers")
    looker = await bank.superuser("bp_customers")
    slow = timedelta(seconds=waited_out_s(2.2))

    async def is_slow_or_over() -> bool:
        waited: timedelta | None = await looker.fetchval(LONGEST_WAIT_FOR_A_LOCK)
        assert waited is not None
        return asked.done() or waited > slow

    async with holder.transaction():
        await holder.execute("LOCK TABLE customers.account IN ACCESS EXCLUSIVE MODE")
        asked = asyncio.ensure_future(
            transfers_stub.CreateBookTransfer(
                order(payer.account_id, payee.account_id, 100),
                metadata=from_customer(payer.customer_id, new_key()),
            )
        )
        await until(is_slow_or_over, 10, "the check waits")
    await holder.close()
    await asked
    assert await bank.held(payer.account_id) == (900, 2)


async def test_an_account_of_another_customer_is_not_found(bank: LedgerBank, transfers_stub):
    payer, payee = await bank.open_holder(1_000), await bank.open_holder(1_000)
    request = order(payee.account_id, payer.account_id, 100)
    assert await refused(transfers_stub, payer, request) == (
        grpc.StatusCode.NOT_FOUND,
        "ACCOUNT_NOT_FOUND",
    )
    assert await bank.held(payee.account_id) == (1_000, 1)


async def test_a_frozen_account_pays_nothing_but_is_paid(bank: LedgerBank, transfers_stub):
    frozen, payee = await bank.open_holder(1_000, "FROZEN"), await bank.open_holder(1_000)
    request = order(frozen.account_id, payee.account_id, 100)
    assert await refused(transfers_stub, frozen, request) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        "ACCOUNT_FROZEN",
    )
    await transfers_stub.CreateBookTransfer(
        order(payee.account_id, frozen.account_id, 100),
        metadata=from_customer(payee.customer_id, new_key()),
    )
    assert await bank.held(frozen.account_id) == (1_100, 2)


async def test_a_destination_that_is_closed_or_unknown_is_not_found(
    bank: LedgerBank, transfers_stub
):
    payer, closed = await bank.open_holder(1_000), await bank.open_holder(0, "CLOSED")
    for destination in (closed.account_id, uuid.uuid4()):
        request = order(payer.account_id, destination, 100)
        assert (await refused(transfers_stub, payer, request))[1] == "DESTINATION_NOT_FOUND"


async def test_an_order_that_no_account_can_satisfy_is_refused(bank: LedgerBank, transfers_stub):
    payer, payee = await bank.open_holder(1_000), await bank.open_holder()
    source, destination = payer.account_id, payee.account_id
    cases = {
        "AMOUNT_NOT_POSITIVE": [order(source, destination, 0), order(source, destination, -5)],
        "AMOUNT_LIMIT_EXCEEDED": [order(source, destination, 1_000_000_01)],
        "SAME_ACCOUNT": [order(source, source, 5)],
        "CURRENCY_UNSUPPORTED": [order(source, destination, 5, "EUR")],
        "INSUFFICIENT_FUNDS": [order(source, destination, 1_001)],
        "INVALID_ARGUMENT": [order(source, destination, 5, "usd"), pb.CreateBookTransferRequest()],
    }
    for reason, requests in cases.items():
        for request in requests:
            assert (await refused(transfers_stub, payer, request))[1] == reason
    assert await bank.held(source) == (1_000, 1)


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO payments.idempotency_key VALUES (0, uuidv7(), 'k', sha256(''), uuidv7())",
        "DELETE FROM transfers.book_transfer",
        "UPDATE ledger.account SET balance = 1",
        "SELECT ledger.seed_accounts('{}', '{}')",
    ],
)
async def test_the_service_role_cannot_write_past_its_function(bank: LedgerBank, statement: str):
    connection = await connect(bank.postgres.database("bp_transfers"), "tests")
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)
    finally:
        await connection.close()
