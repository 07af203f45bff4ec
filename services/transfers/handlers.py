"""The commands and queries of transfers, one async function each: load, decide, save."""

import asyncio
import uuid
from dataclasses import dataclass

import grpc.aio
import structlog

from services.chassis.call_context import note_replay
from services.chassis.customers_client import CustomersClient
from services.chassis.page_tokens import PageTokens, page_rows, query_digest
from services.chassis.step_up import refuse_old_factor
from services.contracts import StepUpRule
from services.kernel.clock import utc_now
from services.kernel.errors import BankError
from services.kernel.ids import new_id, shard_of
from services.transfers import mapping, state
from services.transfers.errors import AccountNotFound, AmountLimitExceeded, TransferNotFound
from services.transfers.holders import HoldersClient
from services.transfers.settings import TransfersSettings
from services.transfers.state import (
    BookTransfer,
    BookTransferOrder,
    Decline,
    Direction,
    KnownAccount,
    TransferFilter,
)
from services.transfers.statement import Entry, EntryFilter, accounts_of_others, named
from services.transfers.store import Posted, Store

REPLAY_AFTER_S = 0.05
"""How long an order waits for customers before its key is looked up. Customers answers almost every
check sooner, so an order with a new key pays no look-up."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Dependencies:
    """The dependencies of the handlers."""

    settings: TransfersSettings
    store: Store
    customers: CustomersClient
    holders: HoldersClient
    tokens: PageTokens


async def create_book_transfer(
    deps: Dependencies, order: BookTransferOrder, unmet: StepUpRule | None
) -> bytes:
    """Post a transfer once for its key; return the serialised answer.

    A repeated request gets the first answer, even if the bank would refuse it today or the
    customers service does not answer. So a handler looks for the key before it refuses, and when
    it has waited REPLAY_AFTER_S for customers. `unmet` is the method's step-up rule if the caller's
    second factor is too old for it.
    """
    try:
        posted = await _post(deps, order, unmet)
    except (BankError, grpc.aio.AioRpcError) as refusal:
        found = await deps.store.replay(order)
        if found is None:
            await _keep_on_record(deps, order, refusal)
            raise
        posted = found
    if not posted.is_new:
        note_replay()
    return posted.response


async def _post(deps: Dependencies, order: BookTransferOrder, unmet: StepUpRule | None) -> Posted:
    state.require_sound(order, deps.settings.amount_minor_units_max)
    accounts = await _accounts_or_replay(deps, order)
    if isinstance(accounts, Posted):
        return accounts
    source, destination = accounts
    transfer = state.decide(order, source, destination)
    if not transfer.is_to_payer:
        await _require_recent_factor(deps, transfer, unmet)
    event = mapping.event_out(transfer, order, new_id())
    return await deps.store.post(order, transfer, mapping.response_bytes(transfer), event)


async def _require_recent_factor(
    deps: Dependencies, transfer: BookTransfer, unmet: StepUpRule | None
) -> None:
    old_factor = await refuse_old_factor(
        unmet,
        minor_units=transfer.amount.minor_units,
        is_new_beneficiary=lambda: deps.store.beneficiaries.is_new(transfer),
    )
    if old_factor is not None:
        raise old_factor


async def _accounts_or_replay(
    deps: Dependencies, order: BookTransferOrder
) -> tuple[KnownAccount | None, KnownAccount | None] | Posted:
    """Return the accounts from customers; if they take long, the stored answer of a known key.

    A replay needs no customers service. Raises IdempotencyKeyReused, and the check's own errors.
    """
    accounts = (order.account_id, order.destination_account_id)
    check = asyncio.ensure_future(deps.customers.check_debit(order.customer_id, *accounts))
    try:
        done, _ = await asyncio.wait({check}, timeout=REPLAY_AFTER_S)
        known = None if done else await deps.store.replay(order)
        return mapping.known_accounts(await check) if known is None else known
    finally:
        if not check.cancel() and not check.cancelled():
            # A check that failed during the look-up has no other reader.
            check.exception()


async def _keep_on_record(
    deps: Dependencies, order: BookTransferOrder, refusal: BankError | grpc.aio.AioRpcError
) -> None:
    """Record a refusal if a control of the bank caused it.

    The account must be the caller's. The record commits before the caller gets the refusal. A
    repeated order has one record.
    """
    if not isinstance(refusal, BankError) or not state.is_recorded(refusal):
        return
    if isinstance(refusal, AmountLimitExceeded):
        # The amount is checked before the account.
        answer = await deps.customers.check_debit(order.customer_id, order.account_id)
        if mapping.known_accounts(answer)[0] is None:
            return
    home = shard_of(order.account_id)
    decline = Decline(new_id(home), order, refusal.reason, utc_now())
    if await deps.store.decline(decline, mapping.decline_event(decline, new_id(home))):
        declined = {"decline_id": str(decline.decline_id), "error_reason": refusal.reason}
        log.info("order.declined", **declined)


async def get_book_transfer(
    deps: Dependencies, customer_id: uuid.UUID, transfer_id: uuid.UUID
) -> BookTransfer:
    """Return a transfer that the customer paid or received; raise TransferNotFound."""
    transfer = await deps.store.transfer(transfer_id)
    if transfer is None or not transfer.concerns(customer_id):
        raise TransferNotFound(transfer_id=str(transfer_id))
    return transfer


async def list_book_transfers(
    deps: Dependencies,
    customer_id: uuid.UUID,
    wanted: TransferFilter,
    *,
    page_size: int,
    page_token: str,
) -> tuple[list[BookTransfer], str]:
    """Return one page of an account's transfers and the token of the next, "" on the last.

    Raises AccountNotFound for an account that is not the customer's, and PageTokenInvalid.
    """
    digest = _list_digest(customer_id, wanted)
    cursor = deps.tokens.open(page_token, digest)
    await _require_own_account(deps, customer_id, wanted.account_id)
    rows = page_rows(page_size)
    if wanted.direction is Direction.RECEIVED:
        page = await deps.store.statement.received(wanted, below=_position(cursor), rows=rows)
        return page.rows, _token_below(deps, digest, page.next_below)
    transfers = await deps.store.transfers_of_account(wanted, cursor=cursor, rows=rows + 1)
    if len(transfers) <= rows:
        return transfers, ""
    return transfers[:rows], deps.tokens.seal(digest, transfers[rows - 1].transfer_id)


async def list_entries(
    deps: Dependencies,
    customer_id: uuid.UUID,
    wanted: EntryFilter,
    *,
    page_size: int,
    page_token: str,
) -> tuple[list[Entry], str]:
    """Return one page of an account's entries and the token of the next, "" on the last.

    One call asks customers for the names of all other parties on a page.

    Raises AccountNotFound for an account that is not the customer's, and PageTokenInvalid.
    """
    digest = _entries_digest(customer_id, wanted)
    cursor = deps.tokens.open(page_token, digest)
    await _require_own_account(deps, customer_id, wanted.account_id)
    rows = page_rows(page_size)
    page = await deps.store.statement.entries(wanted, below=_position(cursor), rows=rows)
    holders = await deps.holders.of(accounts_of_others(page.rows))
    entries = [named(entry, holders) for entry in page.rows]
    return entries, _token_below(deps, digest, page.next_below)


def _list_digest(customer_id: uuid.UUID, wanted: TransferFilter) -> bytes:
    return query_digest(
        *("ListBookTransfers", customer_id, wanted.account_id),
        direction=None if wanted.direction is Direction.PAID else wanted.direction,
        time_from=wanted.created.time_from,
        time_to=wanted.created.time_to,
    )


def _entries_digest(customer_id: uuid.UUID, wanted: EntryFilter) -> bytes:
    return query_digest(
        *("ListEntries", customer_id, wanted.account_id),
        type=wanted.type,
        time_from=wanted.created.time_from,
        time_to=wanted.created.time_to,
    )


def _position(cursor: uuid.UUID | None) -> int | None:
    """Return the position below which a page of entries starts: the number of the token's UUID."""
    return None if cursor is None else cursor.int


def _token_below(deps: Dependencies, digest: bytes, position: int | None) -> str:
    return "" if position is None else deps.tokens.seal(digest, uuid.UUID(int=position))


async def _require_own_account(
    deps: Dependencies, customer_id: uuid.UUID, account_id: uuid.UUID
) -> None:
    within_s = deps.settings.list_check_timeout_s
    answer = await deps.customers.check_debit(customer_id, account_id, within_s=within_s)
    source, _ = mapping.known_accounts(answer)
    if source is None:
        raise AccountNotFound(account_id=str(account_id))
