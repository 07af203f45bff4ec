"""What transfers does, each a function: load, decide, save."""

import uuid
from dataclasses import dataclass

import grpc.aio
from bp.transfers.v1 import transfers_service_pb2 as pb

from services.chassis.call_context import Call
from services.chassis.page_tokens import DEFAULT_PAGE_SIZE, PageTokens, query_digest
from services.kernel.errors import BankError
from services.kernel.ids import new_id
from services.transfers import mapping, state
from services.transfers.accounts import Accounts
from services.transfers.errors import AccountNotFound, TransferNotFound
from services.transfers.settings import TransfersSettings
from services.transfers.state import BookTransfer, BookTransferOrder
from services.transfers.store import EventOut, RequestKey, Store


@dataclass(frozen=True, slots=True)
class Dependencies:
    """What the handlers work with."""

    settings: TransfersSettings
    store: Store
    accounts: Accounts
    tokens: PageTokens


async def create_book_transfer(
    deps: Dependencies, call: Call, order: BookTransferOrder, fingerprint: bytes
) -> bytes:
    """Post a transfer once for its key and return the serialised answer.

    A repeated request is answered as the first was, even if it would be refused by now or the
    accounts cannot be checked; so a refusal looks for the key before it leaves.
    """
    key = RequestKey(order.customer_id, call.idempotency_key, fingerprint)
    try:
        return await _post(deps, call, order, key)
    except (BankError, grpc.aio.AioRpcError):
        answer = await deps.store.replay(key)
        if answer is None:
            raise
        return answer


async def _post(deps: Dependencies, call: Call, order: BookTransferOrder, key: RequestKey) -> bytes:
    state.require_sound(order, deps.settings.amount_minor_units_max)
    source, destination = await deps.accounts.check(
        call, order.account_id, order.destination_account_id
    )
    transfer = state.decide(order, source, destination, call.admit_time)
    response = pb.CreateBookTransferResponse(transfer=mapping.transfer_message(transfer))
    event_id = new_id()
    event = mapping.posted_event(event_id, transfer, call)
    return await deps.store.post(
        key,
        transfer,
        response.SerializeToString(),
        EventOut(event_id, event.SerializeToString(), call.traceparent or None),
    )


async def get_book_transfer(
    deps: Dependencies, customer_id: uuid.UUID, transfer_id: uuid.UUID
) -> BookTransfer:
    """Return a transfer that the caller paid or was paid; raise TransferNotFound."""
    transfer = await deps.store.transfer(transfer_id)
    if transfer is None or not transfer.concerns(customer_id):
        raise TransferNotFound(transfer_id=str(transfer_id))
    return transfer


async def list_book_transfers(
    deps: Dependencies, call: Call, account_id: uuid.UUID, page_size: int, page_token: str
) -> tuple[list[BookTransfer], str]:
    """Return a page of what an account paid, and the next token.

    Raises AccountNotFound for an account that is not the caller's, and PageTokenInvalid.
    """
    digest = query_digest("ListBookTransfers", call.customer_id, account_id)
    cursor = deps.tokens.open(page_token, digest)
    source, _ = await deps.accounts.check(
        call, account_id, within_s=deps.settings.list_check_timeout_s
    )
    if source is None:
        raise AccountNotFound(account_id=str(account_id))
    rows = min(page_size or DEFAULT_PAGE_SIZE, deps.settings.page_rows_max)
    transfers = await deps.store.transfers(account_id, cursor, rows + 1)
    if len(transfers) <= rows:
        return transfers, ""
    return transfers[:rows], deps.tokens.seal(digest, transfers[rows - 1].transfer_id)
