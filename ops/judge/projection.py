"""Compares each account's balance in the customers service with the posted balance."""

from ops.judge.books import Bank
from ops.judge.findings import Findings, Kind
from ops.judge.stores import CUSTOMERS_DATABASE, Stores, pages, queries


async def compare_projection(stores: Stores, bank: Bank, findings: Findings) -> None:
    """Check that each account with postings has the same projected balance and position."""
    sql = queries("projections")
    held: set[str] = set()
    projected: set[str] = set()
    async with stores.snapshot(CUSTOMERS_DATABASE) as connection:
        async for page in pages(connection, sql.accounts):
            held.update(row[0] for row in page)
        async for page in pages(connection, sql.balances):
            for account_id, *seen in page:
                projected.add(account_id)
                _compare(account_id, bank.accounts.get(account_id), tuple(seen), findings)
    findings.checked["balances_projected"] += len(projected)
    for account_id, (currency, balance, position) in bank.accounts.items():
        if position and account_id not in projected:
            expected = _told(currency, balance, position)
            findings.add(Kind.PROJECTION_LOST, expected, None, account_id=account_id)
    for account_id in sorted(held - bank.accounts.keys()):
        findings.add(Kind.ACCOUNT_NOT_OPEN, "open", "not in the books", account_id=account_id)
    for account_id in sorted(bank.accounts.keys() - held):
        findings.add(Kind.ACCOUNT_WITHOUT_CUSTOMER, "a customer", None, account_id=account_id)


def _compare(
    account_id: str,
    posted: tuple[str, int, int] | None,
    seen: tuple[str, int, int],
    findings: Findings,
) -> None:
    _, _, position = posted or (None, None, 0)
    if posted is None or position == 0:
        findings.add(Kind.PROJECTION_UNKNOWN, None, _told(*seen), account_id=account_id)
    elif posted != seen:
        findings.add(Kind.PROJECTION, _told(*posted), _told(*seen), account_id=account_id)


def _told(currency: str, balance: int, position: int) -> dict[str, str | int]:
    return {"currency": currency, "balance": balance, "position": position}
