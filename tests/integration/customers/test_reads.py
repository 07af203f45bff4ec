"""Each caller gets only the data of customers that it may see."""

import uuid

import grpc
import pytest
from bp.customers.v1 import account_pb2
from bp.customers.v1 import customers_service_pb2 as pb

from services.chassis.page_tokens import PAGE_ROWS_MAX
from services.nacha import routing_number
from tests.rigs.ledger_bank import LedgerBank
from tests.rigs.sidecar_calls import certificate_of, from_customer, refusal


async def test_a_customer_reads_itself(bank: LedgerBank, customers_stub):
    holder = await bank.open_holder()
    answer = await customers_stub.GetMe(
        pb.GetMeRequest(), metadata=from_customer(holder.customer_id)
    )
    assert answer.customer.customer_id == str(holder.customer_id)
    assert answer.customer.user_name == f"u{holder.customer_id.hex}"


async def test_a_token_without_its_customer_is_not_found(customers_stub):
    call = customers_stub.GetMe(pb.GetMeRequest(), metadata=from_customer(uuid.uuid4()))
    assert await refusal(call) == (grpc.StatusCode.NOT_FOUND, "CUSTOMER_NOT_FOUND")


async def test_a_token_without_the_scope_is_refused(bank: LedgerBank, customers_stub):
    holder = await bank.open_holder()
    metadata = from_customer(holder.customer_id, scopes="transfers:read")
    call = customers_stub.GetMe(pb.GetMeRequest(), metadata=metadata)
    assert await refusal(call) == (grpc.StatusCode.PERMISSION_DENIED, "SCOPE_MISSING")


async def test_accounts_are_listed_once_each_in_the_order_they_were_opened(
    bank: LedgerBank, customers_stub
):
    holder = await bank.open_holder()
    opened = [holder.account_id] + [await bank.open_account(holder.customer_id) for _ in range(4)]
    metadata = from_customer(holder.customer_id)
    listed: list[str] = []
    token = ""
    for rows in (2, 2, 1):
        page = await customers_stub.ListAccounts(
            pb.ListAccountsRequest(page_size=2, page_token=token), metadata=metadata
        )
        assert len(page.accounts) == rows
        listed += [account.account_id for account in page.accounts]
        token = page.next_page_token
    assert token == ""
    assert listed == [str(account_id) for account_id in sorted(opened)]


async def test_an_owner_sees_the_numbers_and_the_balance_of_each_account(
    bank: LedgerBank, customers_stub
):
    holder = await bank.open_holder()
    await bank.open_account(holder.customer_id)
    customers = await bank.superuser("bp_customers")
    await customers.execute(
        "INSERT INTO customers.balance (account_id, currency, balance, position)"
        " VALUES ($1, 'USD', 1234, 7)",
        holder.account_id,
    )
    page = await customers_stub.ListAccounts(
        pb.ListAccountsRequest(), metadata=from_customer(holder.customer_id)
    )
    assert len(page.accounts) == 2
    for account in page.accounts:
        alone = await customers_stub.GetBalance(
            pb.GetBalanceRequest(account_id=account.account_id),
            metadata=from_customer(holder.customer_id),
        )
        assert account.balance == alone.balance
        assert routing_number.is_valid(account.routing_number)
        assert len(account.account_number) == 10
    assert {(a.balance.position, a.balance.available.minor_units) for a in page.accounts} == {
        (7, 1234),
        (0, 0),
    }
    assert len({account.account_number for account in page.accounts}) == 2


async def test_another_service_sees_neither_numbers_nor_a_payees_balance(
    bank: LedgerBank, customers_stub
):
    payer, payee = await bank.open_holder(), await bank.open_holder()
    checked = await customers_stub.CheckDebit(
        check(payer.customer_id, payer.account_id, str(payee.account_id)),
        metadata=(certificate_of("transfers"),),
    )
    for account in (checked.account, checked.destination_account):
        assert account.account_id
        assert not account.account_number
        assert not account.HasField("balance")


async def test_of_a_holder_transfers_sees_the_name_and_the_end_of_an_open_accounts_number(
    bank: LedgerBank, customers_stub
):
    ana, eva = await bank.open_holder(name="Ana Torres"), await bank.open_holder(name="Eva Sol")
    closed = await bank.open_account(eva.customer_id, state="CLOSED")
    frozen = await bank.open_account(eva.customer_id, state="FROZEN")
    asked = [ana.account_id, eva.account_id, closed, frozen, uuid.uuid4()]
    answer = await customers_stub.BatchGetHolders(
        pb.BatchGetHoldersRequest(account_ids=map(str, asked)),
        metadata=(certificate_of("transfers"),),
    )
    endings = [(await bank.number_of(account_id))[-4:] for account_id in asked[:4]]
    assert {key: (one.name, one.account_number_ending) for key, one in answer.holders.items()} == {
        str(ana.account_id): ("Ana Torres", endings[0]),
        str(eva.account_id): ("Eva Sol", endings[1]),
        str(closed): ("Eva Sol", ""),
        str(frozen): ("Eva Sol", endings[3]),
    }


async def test_only_transfers_reads_the_names_of_holders(bank: LedgerBank, customers_stub):
    holder = await bank.open_holder()
    request = pb.BatchGetHoldersRequest(account_ids=[str(holder.account_id)])
    forbidden = (grpc.StatusCode.PERMISSION_DENIED, "CALLER_FORBIDDEN")
    for caller in ("payments", "notifications"):
        call = customers_stub.BatchGetHolders(request, metadata=(certificate_of(caller),))
        assert await refusal(call) == forbidden
    customer = customers_stub.BatchGetHolders(request, metadata=from_customer(holder.customer_id))
    assert await refusal(customer) == forbidden


async def test_a_page_that_is_larger_than_the_largest_has_the_largest_size(
    bank: LedgerBank, customers_stub
):
    holder = await bank.open_holder()
    opened = [await bank.open_account(holder.customer_id) for _ in range(PAGE_ROWS_MAX)]
    page = await customers_stub.ListAccounts(
        pb.ListAccountsRequest(page_size=2**31 - 1), metadata=from_customer(holder.customer_id)
    )
    assert len(page.accounts) == PAGE_ROWS_MAX == len(opened)
    assert page.next_page_token


async def test_a_page_token_that_is_forged_or_another_customers_is_refused(
    bank: LedgerBank, customers_stub
):
    holder, other = await bank.open_holder(), await bank.open_holder()
    await bank.open_account(holder.customer_id)
    page = await customers_stub.ListAccounts(
        pb.ListAccountsRequest(page_size=1), metadata=from_customer(holder.customer_id)
    )
    token = page.next_page_token
    flipped = token[:-6] + ("B" if token[-6] == "A" else "A") + token[-5:]
    for reader, sent in ((other, token), (holder, flipped), (holder, "x" * 40), (holder, "é")):
        call = customers_stub.ListAccounts(
            pb.ListAccountsRequest(page_token=sent), metadata=from_customer(reader.customer_id)
        )
        assert await refusal(call) == (grpc.StatusCode.INVALID_ARGUMENT, "PAGE_TOKEN_INVALID")


async def test_the_balance_of_a_foreign_or_unknown_account_is_not_found(
    bank: LedgerBank, customers_stub
):
    holder, other = await bank.open_holder(), await bank.open_holder()
    for account_id in (other.account_id, uuid.uuid4()):
        call = customers_stub.GetBalance(
            pb.GetBalanceRequest(account_id=str(account_id), at_least_position=1),
            metadata=from_customer(holder.customer_id),
        )
        assert await refusal(call) == (grpc.StatusCode.NOT_FOUND, "ACCOUNT_NOT_FOUND")


async def test_an_account_without_postings_holds_nothing(bank: LedgerBank, customers_stub):
    holder = await bank.open_holder()
    answer = await customers_stub.GetBalance(
        pb.GetBalanceRequest(account_id=str(holder.account_id)),
        metadata=from_customer(holder.customer_id),
    )
    assert answer.balance == account_pb2.Balance(
        account_id=str(holder.account_id),
        available={"currency_code": "USD"},
        ledger={"currency_code": "USD"},
    )


def check(customer_id: uuid.UUID, account_id: uuid.UUID, destination: str = ""):
    """A debit check as payments or transfers sends it."""
    return pb.CheckDebitRequest(
        customer_id=str(customer_id),
        account_id=str(account_id),
        destination_account_id=destination,
    )


async def test_a_debits_check_tells_states_and_hides_foreign_accounts(
    bank: LedgerBank, customers_stub
):
    payer, payee = await bank.open_holder(), await bank.open_holder(state="FROZEN")
    metadata = (certificate_of("transfers"),)
    both = await customers_stub.CheckDebit(
        check(payer.customer_id, payer.account_id, str(payee.account_id)), metadata=metadata
    )
    assert both.account.account_id == str(payer.account_id)
    assert both.account.state == account_pb2.Account.ACTIVE
    assert both.destination_account.customer_id == str(payee.customer_id)
    assert both.destination_account.state == account_pb2.Account.FROZEN
    foreign = await customers_stub.CheckDebit(
        check(payer.customer_id, payee.account_id, str(payer.account_id)), metadata=metadata
    )
    assert not foreign.HasField("account")
    assert not foreign.HasField("balance")
    assert foreign.destination_account.account_id == str(payer.account_id)
    alone = await customers_stub.CheckDebit(
        check(payer.customer_id, payer.account_id), metadata=metadata
    )
    assert not alone.HasField("destination_account")


async def test_several_debits_are_checked_in_their_order_and_each_for_its_own_customer(
    bank: LedgerBank, customers_stub
):
    ana, ben = await bank.open_holder(), await bank.open_holder()
    questions = [
        check(ana.customer_id, ana.account_id, str(ben.account_id)),
        check(ana.customer_id, ben.account_id),
        check(ben.customer_id, ben.account_id),
        check(uuid.uuid4(), uuid.uuid4()),
        check(ana.customer_id, ana.account_id, str(ben.account_id)),
    ]
    metadata = (certificate_of("payments"),)
    answer = await customers_stub.BatchCheckDebits(
        pb.BatchCheckDebitsRequest(requests=questions), metadata=metadata
    )
    alone = [await customers_stub.CheckDebit(one, metadata=metadata) for one in questions]
    assert list(answer.responses) == alone
    assert [one.HasField("account") for one in alone] == [True, False, True, False, True]


@pytest.mark.parametrize("caller", ["gateway", "notifications", ""])
async def test_a_debits_check_is_for_payments_and_transfers_only(
    bank: LedgerBank, customers_stub, caller: str
):
    payer = await bank.open_holder()
    call = customers_stub.CheckDebit(
        check(payer.customer_id, payer.account_id), metadata=(certificate_of(caller),)
    )
    assert await refusal(call) == (grpc.StatusCode.PERMISSION_DENIED, "CALLER_FORBIDDEN")
