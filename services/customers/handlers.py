"""The queries that the customers service answers, one async function each."""

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from services.chassis.page_tokens import PageTokens, page_rows, query_digest
from services.chassis.wait_limit import WaitLimit
from services.customers.balance_waiters import BalanceWaiters
from services.customers.errors import AccountNotFound, CustomerNotFound, PositionNotReached
from services.customers.settings import CustomersSettings
from services.customers.state import (
    AccountHolder,
    Balance,
    CheckedDebit,
    Customer,
    Holding,
    OwnAccount,
    PlannedDebit,
)
from services.customers.store import Store


@dataclass(frozen=True, slots=True)
class Dependencies:
    """The dependencies of the handlers."""

    settings: CustomersSettings
    store: Store
    balance_waiters: BalanceWaiters
    waits: WaitLimit
    tokens: PageTokens


async def get_me(deps: Dependencies, customer_id: uuid.UUID) -> Customer:
    """Return the customer; raise CustomerNotFound."""
    customer = await deps.store.customer(customer_id)
    if customer is None:
        raise CustomerNotFound
    return customer


async def batch_get_locales(
    deps: Dependencies, customer_ids: Collection[uuid.UUID]
) -> dict[uuid.UUID, str]:
    """Return the languages of the customers that exist, by id."""
    return await deps.store.locales(customer_ids)


async def batch_get_holders(
    deps: Dependencies, account_ids: Collection[uuid.UUID]
) -> dict[uuid.UUID, AccountHolder]:
    """Return the holders of the accounts that exist, by account."""
    return await deps.store.holders(account_ids)


async def list_accounts(
    deps: Dependencies, customer_id: uuid.UUID, *, page_size: int, page_token: str
) -> tuple[list[OwnAccount], str]:
    """Return one page of a customer's accounts and the token of the next, "" on the last.

    Raises PageTokenInvalid.
    """
    digest = query_digest("ListAccounts", customer_id)
    cursor = deps.tokens.open(page_token, digest)
    rows = page_rows(page_size)
    accounts = await deps.store.accounts(customer_id, cursor=cursor, rows=rows + 1)
    if len(accounts) <= rows:
        return accounts, ""
    return accounts[:rows], deps.tokens.seal(digest, accounts[rows - 1].holding.account.account_id)


async def get_balance(
    deps: Dependencies, customer_id: uuid.UUID, account_id: uuid.UUID, at_least_position: int
) -> Balance:
    """Return a balance of at least a position; raise AccountNotFound and PositionNotReached."""
    balance = await _balance(deps, customer_id, account_id)
    if balance.position >= at_least_position:
        return balance
    with deps.waits.place(customer_id) as may_wait:
        within_s = deps.settings.position_wait_s
        if not may_wait or not await deps.balance_waiters.reached(
            account_id, at_least_position, within_s
        ):
            raise PositionNotReached(account_id=str(account_id))
    return await _balance(deps, customer_id, account_id)


async def _balance(deps: Dependencies, customer_id: uuid.UUID, account_id: uuid.UUID) -> Balance:
    balance = await deps.store.balance(customer_id, account_id)
    if balance is None:
        raise AccountNotFound(account_id=str(account_id))
    return balance


async def check_debit(deps: Dependencies, debit: PlannedDebit) -> CheckedDebit:
    """Return the accounts of a planned debit."""
    (checked,) = await batch_check_debits(deps, [debit])
    return checked


async def batch_check_debits(
    deps: Dependencies, debits: Sequence[PlannedDebit]
) -> list[CheckedDebit]:
    """Return the accounts of each planned debit, in one read."""
    sources = {debit.account_id for debit in debits}
    destinations = {debit.destination_id for debit in debits if debit.destination_id}
    holdings = await deps.store.holdings(sources | destinations)
    return [_checked(debit, holdings) for debit in debits]


def _checked(debit: PlannedDebit, holdings: Mapping[uuid.UUID, Holding]) -> CheckedDebit:
    source = holdings.get(debit.account_id)
    if source is not None and source.account.customer_id != debit.customer_id:
        source = None
    destination = holdings.get(debit.destination_id) if debit.destination_id else None
    return CheckedDebit(source, destination.account if destination else None)
