"""Only payer and payee can read a transfer; lists are read page by page."""

import uuid

import grpc
import pytest
from bp.transfers.v1 import transfers_service_pb2 as pb

from tests.rigs.book_transfer_calls import new_key, order
from tests.rigs.ledger_bank import Holder, LedgerBank
from tests.rigs.sidecar_calls import from_customer, refusal


async def test_only_payer_and_payee_see_a_transfer(bank: LedgerBank, transfers_stub):
    payer, payee, other = [await bank.open_holder(1_000) for _ in range(3)]
    made = await transfers_stub.CreateBookTransfer(
        order(payer.account_id, payee.account_id, 10, memo="gift"),
        metadata=from_customer(payer.customer_id, new_key()),
    )
    request = pb.GetBookTransferRequest(transfer_id=made.transfer.transfer_id)
    for reader in (payer, payee):
        seen = await transfers_stub.GetBookTransfer(
            request, metadata=from_customer(reader.customer_id)
        )
        assert seen.transfer == made.transfer
    not_found = (grpc.StatusCode.NOT_FOUND, "TRANSFER_NOT_FOUND")
    foreign = transfers_stub.GetBookTransfer(request, metadata=from_customer(other.customer_id))
    assert await refusal(foreign) == not_found
    unknown = pb.GetBookTransferRequest(transfer_id=str(uuid.uuid4()))
    missing = transfers_stub.GetBookTransfer(unknown, metadata=from_customer(payer.customer_id))
    assert await refusal(missing) == not_found


async def pay(stub, payer: Holder, payee: Holder, cents: int) -> str:
    """Make a transfer and return its id."""
    answer = await stub.CreateBookTransfer(
        order(payer.account_id, payee.account_id, cents),
        metadata=from_customer(payer.customer_id, new_key()),
    )
    return answer.transfer.transfer_id


async def pages(
    stub, customer_id: uuid.UUID, account_id: uuid.UUID, rows: int, **filters: str
) -> list[list[str]]:
    """Return the transfer ids on all pages of an account's list."""
    found: list[list[str]] = []
    token = ""
    while True:
        page = await stub.ListBookTransfers(
            pb.ListBookTransfersRequest(
                account_id=str(account_id), page_size=rows, page_token=token, **filters
            ),
            metadata=from_customer(customer_id),
        )
        found.append([transfer.transfer_id for transfer in page.transfers])
        token = page.next_page_token
        if not token:
            return found


async def test_a_list_gives_every_transfer_once_newest_first(bank: LedgerBank, transfers_stub):
    payer, payee = await bank.open_holder(1_000), await bank.open_holder()
    made: list[str] = []
    for cents in range(1, 8):
        answer = await transfers_stub.CreateBookTransfer(
            order(payer.account_id, payee.account_id, cents),
            metadata=from_customer(payer.customer_id, new_key()),
        )
        made.append(answer.transfer.transfer_id)
    listed = await pages(transfers_stub, payer.customer_id, payer.account_id, 3)
    assert [len(page) for page in listed] == [3, 3, 1]
    assert [transfer_id for page in listed for transfer_id in page] == made[::-1]
    assert await pages(transfers_stub, payee.customer_id, payee.account_id, 3) == [[]]


async def test_a_payee_lists_what_its_account_received(bank: LedgerBank, transfers_stub):
    payer, payee = await bank.open_holder(1_000), await bank.open_holder(1_000)
    made = [await pay(transfers_stub, payer, payee, cents) for cents in range(1, 6)]
    await pay(transfers_stub, payee, payer, 7)
    listed = await pages(
        transfers_stub, payee.customer_id, payee.account_id, 2, direction="RECEIVED"
    )
    assert listed == [[made[4], made[3]], [made[2], made[1]], [made[0]]]
    metadata = from_customer(payee.customer_id)
    page = await transfers_stub.ListBookTransfers(
        pb.ListBookTransfersRequest(account_id=str(payee.account_id), direction="RECEIVED"),
        metadata=metadata,
    )
    alone = await transfers_stub.GetBookTransfer(
        pb.GetBookTransferRequest(transfer_id=made[4]), metadata=metadata
    )
    assert page.transfers[0] == alone.transfer


@pytest.mark.parametrize("direction", ["PAID", "RECEIVED"])
async def test_a_list_is_limited_to_a_range_of_time(
    bank: LedgerBank, transfers_stub, direction: str
):
    payer, payee = await bank.open_holder(1_000), await bank.open_holder()
    made = [await pay(transfers_stub, payer, payee, cents) for cents in range(1, 5)]
    reader = payer if direction == "PAID" else payee

    async def listed(**times: str) -> list[str]:
        account_id = reader.account_id
        found = await pages(
            transfers_stub, reader.customer_id, account_id, 3, direction=direction, **times
        )
        return [one for page in found for one in page]

    write = await bank.superuser("bp_write")
    middle = await write.fetchval(
        "SELECT max(create_time) FILTER (WHERE transfer_id = $1)"
        " FROM transfers.book_transfer WHERE account_id = $2"
        if direction == "PAID"
        else "SELECT max(post_time) FILTER (WHERE reference = $1) FROM ledger.entry"
        " WHERE account_id = $2",
        uuid.UUID(made[2]),
        reader.account_id,
    )
    text = f"{middle:%Y-%m-%dT%H:%M:%S.%f}Z"
    assert await listed(create_time_from=text) == [made[3], made[2]]
    assert await listed(create_time_to=text) == [made[1], made[0]]
    assert await listed(create_time_from=text, create_time_to=text) == []
    wide = {"create_time_from": "1970-01-01T00:00:00Z", "create_time_to": "2999-12-31T23:59:59Z"}
    assert await listed(**wide) == made[::-1]


async def test_a_token_that_is_forged_or_of_another_list_is_refused(
    bank: LedgerBank, transfers_stub
):
    payer, payee = await bank.open_holder(1_000), await bank.open_holder(1_000)
    second = await bank.open_account(payer.customer_id)
    for _ in range(2):
        await transfers_stub.CreateBookTransfer(
            order(payer.account_id, payee.account_id, 1),
            metadata=from_customer(payer.customer_id, new_key()),
        )
    request = pb.ListBookTransfersRequest(account_id=str(payer.account_id), page_size=1)
    metadata = from_customer(payer.customer_id)
    token = (await transfers_stub.ListBookTransfers(request, metadata=metadata)).next_page_token
    flipped = ("B" if token[0] == "A" else "A") + token[1:]
    attempts = [
        (payer, payer.account_id, flipped),
        (payer, payer.account_id, "none of ours"),
        (payer, second, token),
        (payee, payee.account_id, token),
    ]
    for reader, account_id, page_token in attempts:
        call = transfers_stub.ListBookTransfers(
            pb.ListBookTransfersRequest(account_id=str(account_id), page_token=page_token),
            metadata=from_customer(reader.customer_id),
        )
        assert await refusal(call) == (grpc.StatusCode.INVALID_ARGUMENT, "PAGE_TOKEN_INVALID")


async def test_the_list_of_a_foreign_account_is_not_found(bank: LedgerBank, transfers_stub):
    payer, payee = await bank.open_holder(1_000), await bank.open_holder()
    call = transfers_stub.ListBookTransfers(
        pb.ListBookTransfersRequest(account_id=str(payer.account_id)),
        metadata=from_customer(payee.customer_id),
    )
    assert await refusal(call) == (grpc.StatusCode.NOT_FOUND, "ACCOUNT_NOT_FOUND")
