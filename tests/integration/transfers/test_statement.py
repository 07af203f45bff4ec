"""The statement of an account has all money paid and received, for its owner only."""

import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import grpc.aio
import pytest_asyncio
from bp.transfers.v1 import transfers_service_pb2 as pb
from bp.transfers.v1.account_entry_pb2 import AccountEntry, Counterparty
from bp.transfers.v1.transfers_service_pb2_grpc import TransfersServiceStub

from services.chassis.customers_client import CustomersClient
from services.chassis.grpc_server import Server
from services.chassis.page_tokens import PageTokens
from services.chassis.revocations import RevokedSessions
from services.kernel.clock import utc_now
from services.kernel.ids import new_id
from services.payments import mapping as payments_mapping
from services.payments.driver import LEASE_S
from services.payments.rows import Lease
from services.payments.state import Event
from services.payments.store import Store as PaymentsStore
from services.payments.transfer import Fact, Transfer, after
from services.transfers import bootstrap
from services.transfers.handlers import Dependencies
from services.transfers.holders import HoldersClient
from tests.integration.payments.orders import debit, order_of
from tests.rigs.book_transfer_calls import new_key, order
from tests.rigs.ledger_bank import Holder, LedgerBank
from tests.rigs.services_in_process import Running, scaled_deadlines
from tests.rigs.sidecar_calls import certificate_of, from_customer, open_channel, refusal
from tests.rigs.stores import PostgresStore


@pytest_asyncio.fixture
async def payments(postgres: PostgresStore):
    """The store of payments."""
    pool = await postgres.pool("bp_payments", 2)
    yield PaymentsStore(pool)
    await pool.close()


async def pay(stub, payer: Holder, payee: Holder, cents: int) -> str:
    answer = await stub.CreateBookTransfer(
        order(payer.account_id, payee.account_id, cents),
        metadata=from_customer(payer.customer_id, new_key()),
    )
    return answer.transfer.transfer_id


async def send(payments: PaymentsStore, payer: Holder) -> Transfer:
    """Debit an interbank transfer of one dollar."""
    until = utc_now() + timedelta(seconds=LEASE_S)
    transfer, _ = await debit(payments, order_of(payer), Lease("test", until))
    return transfer


async def step(payments: PaymentsStore, transfer: Transfer, fact: Fact) -> Transfer:
    moved, transition = after(transfer, fact, utc_now())
    event = payments_mapping.event_out(moved, transition.event_type, new_id())
    advanced, _ = await payments.advance(moved, transition, event, Lease("", utc_now()))
    assert advanced
    return moved


async def listed(
    stub, holder: Holder, rows: int = 0, account_id: uuid.UUID | None = None, **filters
) -> list[list[AccountEntry]]:
    """Return all pages of a statement."""
    pages: list[list[AccountEntry]] = []
    token = ""
    while True:
        page = await stub.ListEntries(
            pb.ListEntriesRequest(
                account_id=str(account_id or holder.account_id),
                page_size=rows,
                page_token=token,
                **filters,
            ),
            metadata=from_customer(holder.customer_id, scopes="accounts:read transfers:read"),
        )
        pages.append(list(page.entries))
        token = page.next_page_token
        if not token:
            return pages


def rows_of(entries: list[AccountEntry]) -> list[tuple[int, str, int, int, str]]:
    return [
        (
            entry.position,
            AccountEntry.Type.Name(entry.type),
            entry.amount.minor_units,
            entry.balance.minor_units,
            entry.transfer_id,
        )
        for entry in entries
    ]


async def test_a_payee_sees_what_it_received_with_the_running_balance(
    bank: LedgerBank, transfers_stub
):
    payer, payee = await bank.open_holder(1_000), await bank.open_holder()
    first = await pay(transfers_stub, payer, payee, 30)
    second = await pay(transfers_stub, payer, payee, 5)
    ((received),) = await listed(transfers_stub, payee)
    assert rows_of(received) == [
        (2, "BOOK_TRANSFER", 5, 35, second),
        (1, "BOOK_TRANSFER", 30, 30, first),
    ]
    assert {entry.counterparty.account_id for entry in received} == {str(payer.account_id)}
    ((paid),) = await listed(transfers_stub, payer)
    assert rows_of(paid) == [
        (3, "BOOK_TRANSFER", -5, 965, second),
        (2, "BOOK_TRANSFER", -30, 970, first),
        (1, "OPENING_BALANCE", 1_000, 1_000, ""),
    ]
    assert [entry.counterparty.account_id for entry in paid[:2]] == [str(payee.account_id)] * 2
    assert not paid[2].HasField("counterparty")
    assert paid[0].amount.currency_code == "USD"
    assert paid[0].create_time.seconds >= paid[1].create_time.seconds > 0


async def test_a_payer_sees_whom_it_paid_and_a_payee_by_whom_it_was_paid(
    bank: LedgerBank, transfers_stub
):
    """The payee of a transfer does not see the payer's number."""
    ana = await bank.open_holder(1_000, name="Ana Torres")
    luis, eva = await bank.open_holder(name="Luis Gil"), await bank.open_holder(name="Eva Sol")
    await pay(transfers_stub, ana, luis, 1)
    await pay(transfers_stub, ana, eva, 2)
    await pay(transfers_stub, luis, ana, 1)

    async def others(holder: Holder) -> list[tuple[str, str, str, str]]:
        ((entries),) = await listed(transfers_stub, holder)
        return [
            (one.name, one.account_number_ending, one.account_id, one.routing_number)
            for one in (entry.counterparty for entry in entries if entry.transfer_id)
        ]

    endings = {one: (await bank.number_of(one.account_id))[-4:] for one in (ana, luis, eva)}
    assert await others(ana) == [
        ("Luis Gil", "", str(luis.account_id), ""),
        ("Eva Sol", endings[eva], str(eva.account_id), ""),
        ("Luis Gil", endings[luis], str(luis.account_id), ""),
    ]
    assert await others(luis) == [
        ("Ana Torres", endings[ana], str(ana.account_id), ""),
        ("Ana Torres", "", str(ana.account_id), ""),
    ]
    assert await others(eva) == [("Ana Torres", "", str(ana.account_id), "")]


async def test_a_statement_comes_without_names_when_customers_cannot_tell_them(
    bank: LedgerBank, customers: Running, transfers: Running, tmp_path: Path
):
    """During a release, an older customers service has no such call; amounts are in the books."""
    other_customers = grpc.aio.server()
    other_customers.add_insecure_port(f"unix:{tmp_path}/none.sock")
    await other_customers.start()
    asking = open_channel(str(customers.settings.socket_in), certificate_of("transfers"))
    async with asking, open_channel(f"{tmp_path}/none.sock") as nameless:
        deps = Dependencies(
            transfers.settings,
            transfers.store,
            CustomersClient(asking, transfers.settings.check_timeout_s),
            HoldersClient(nameless, transfers.settings.check_timeout_s),
            PageTokens(b"sealed by the test"),
        )
        payer, payee = await bank.open_holder(1_000), await bank.open_holder()
        settings = transfers.settings.model_copy(update={"socket_in": tmp_path / "in.sock"})
        with scaled_deadlines():
            server = Server(settings, bootstrap.apis(deps), RevokedSessions())
        await server.start()
        async with open_channel(f"{tmp_path}/in.sock") as channel:
            stub = TransfersServiceStub(channel)
            await pay(stub, payer, payee, 5)
            ((paid, _),) = await listed(stub, payer)
        await server.drain()
    await other_customers.stop(None)
    assert rows_of([paid])[0][:4] == (2, "BOOK_TRANSFER", -5, 995)
    assert paid.counterparty == Counterparty(account_id=str(payee.account_id))


async def test_refunds_and_returns_of_interbank_transfers_are_in_the_statement(
    bank: LedgerBank, transfers_stub, payments: PaymentsStore
):
    payer = await bank.open_holder(1_000)
    failed = await step(payments, await send(payments, payer), Fact(Event.RECALLED, reason="X"))
    trace = "091000010000001"
    sent = await step(payments, await send(payments, payer), Fact(Event.ACCEPTED, trace))
    settled = await step(payments, sent, Fact(Event.COMPLETED, trace))
    returned = await step(payments, settled, Fact(Event.RETURNED, trace, return_code="R03"))
    ((entries),) = await listed(transfers_stub, payer)
    sent_id, failed_id = str(returned.transfer_id), str(failed.transfer_id)
    assert rows_of(entries) == [
        (5, "INTERBANK_RETURN", 100, 1_000, sent_id),
        (4, "INTERBANK_DEBIT", -100, 900, sent_id),
        (3, "INTERBANK_REFUND", 100, 1_000, failed_id),
        (2, "INTERBANK_DEBIT", -100, 900, failed_id),
        (1, "OPENING_BALANCE", 1_000, 1_000, ""),
    ]
    for entry in entries[:4]:
        other = entry.counterparty
        assert (other.name, other.routing_number) == ("Bo Rivera", "021000021")
        assert (other.account_id, other.account_number_ending) == ("", "3456")


async def test_pages_give_every_entry_once_and_a_type_limits_them(
    bank: LedgerBank, transfers_stub, payments: PaymentsStore
):
    payer, payee = await bank.open_holder(1_000), await bank.open_holder()
    for cents in range(1, 4):
        await pay(transfers_stub, payer, payee, cents)
        await send(payments, payer)
    pages = await listed(transfers_stub, payer, 3)
    assert [len(page) for page in pages] == [3, 3, 1]
    assert [entry.position for page in pages for entry in page] == [7, 6, 5, 4, 3, 2, 1]
    pages = await listed(transfers_stub, payer, 2, type="BOOK_TRANSFER")
    assert [[entry.position for entry in page] for page in pages] == [[6, 4], [2]]


async def test_a_rare_type_is_found_below_more_entries_than_one_read_sees(
    bank: LedgerBank, transfers_stub, payments: PaymentsStore
):
    payer, payee = await bank.open_holder(10_000), await bank.open_holder()
    await send(payments, payer)
    write = await bank.superuser("bp_write")
    await write.execute(
        "SELECT count(ledger.post(ledger.new_id(ledger.shard_of($1)), 'BOOK_TRANSFER', uuidv7(),"
        " ARRAY[ledger.debit($1, 'USD', 1), ledger.credit($2, 'USD', 1)]))"
        " FROM generate_series(1, 1100)",
        payer.account_id,
        payee.account_id,
    )
    pages = await listed(transfers_stub, payer, type="INTERBANK_DEBIT")
    assert [[entry.position for entry in page] for page in pages] == [[], [2]]


async def test_a_range_of_time_has_its_first_moment_and_not_its_last(
    bank: LedgerBank, transfers_stub
):
    payer, payee = await bank.open_holder(1_000), await bank.open_holder()
    for cents in range(1, 5):
        await pay(transfers_stub, payer, payee, cents)
    ((entries),) = await listed(transfers_stub, payer)
    moments = [entry.create_time.ToDatetime(UTC) for entry in entries]

    async def positions(**times: datetime) -> list[int]:
        texts = {name: f"{time:%Y-%m-%dT%H:%M:%S.%f}Z" for name, time in times.items()}
        pages = await listed(transfers_stub, payer, 1, None, **texts)
        return [entry.position for page in pages for entry in page]

    assert await positions(create_time_from=moments[2]) == [5, 4, 3]
    assert await positions(create_time_to=moments[2]) == [2, 1]
    assert await positions(create_time_from=moments[3], create_time_to=moments[1]) == [3, 2]
    assert await positions(create_time_from=moments[1], create_time_to=moments[3]) == []
    assert await positions(create_time_from=moments[0] + timedelta(days=1)) == []
    assert await positions(create_time_from=datetime(1970, 1, 1, tzinfo=UTC)) == [5, 4, 3, 2, 1]


async def test_a_statement_of_a_foreign_account_or_a_wrong_filter_is_refused(
    bank: LedgerBank, transfers_stub
):
    payer, other = await bank.open_holder(1_000), await bank.open_holder(1_000)

    async def answer(account_id: uuid.UUID, scopes: str = "accounts:read transfers:read", **rest):
        return await refusal(
            transfers_stub.ListEntries(
                pb.ListEntriesRequest(account_id=str(account_id), **rest),
                metadata=from_customer(payer.customer_id, scopes=scopes),
            )
        )

    not_found = (grpc.StatusCode.NOT_FOUND, "ACCOUNT_NOT_FOUND")
    invalid = (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT")
    assert await answer(other.account_id) == not_found
    assert await answer(uuid.uuid4()) == not_found
    for text in ("yesterday", "2026-02-30T00:00:00Z", "2026-02-01T00:00:00"):
        assert await answer(payer.account_id, create_time_from=text) == invalid
    assert await answer(payer.account_id, type="OTHER") == invalid
    forbidden = (grpc.StatusCode.PERMISSION_DENIED, "SCOPE_MISSING")
    assert await answer(payer.account_id, scopes="transfers:read") == forbidden
