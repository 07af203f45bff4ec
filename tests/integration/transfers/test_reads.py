"""Only payer and payee can read a transfer; lists are read page by page."""

import uuid

import grpc
from bp.transfers.v1 import transfers_service_pb2 as pb

from tests.rigs.book_transfer_calls import new_key, order
from tests.rigs.ledger_bank import LedgerBank
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


async def pages(stub, customer_id: uuid.UUID, account_id: uuid.UUID, rows: int) -> list[list[str]]:
    """Return the transfer ids on all pages of an account's list."""
    found: list[list[str]] = []
    token = ""
    while True:
        page = await stub.ListBookTransfers(
            pb.ListBookTransfersRequest(
                account_id=str(account_id), page_size=rows, page_token=token
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
