"""Helpers of the ledger tests: accounts with money, debits, credits and a check."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from services.kernel.ids import new_id, shard_of
from services.kernel.money import Money
from services.ledger.api import Ledger, Leg, Posted, Side

USD = "USD"
CLEARING = "ACH_CLEARING"


@dataclass(frozen=True)
class Books:
    """The ledger in the roles of payments, the superuser and the judge."""

    ledger: Ledger
    superuser: Ledger
    judge: Ledger

    async def accounts(self, count: int, minor_units: int) -> list[UUID]:
        """Open accounts in random shards, each with an opening balance."""
        accounts = [new_id() for _ in range(count)]
        await self.superuser.seed_accounts(accounts, [minor_units] * count, USD)
        return accounts

    async def account(self, minor_units: int) -> UUID:
        """Open one account with an opening balance."""
        return (await self.accounts(1, minor_units))[0]

    async def post(self, *legs: Leg, transaction_id: UUID | None = None) -> tuple[Posted, ...]:
        """Post legs under a fresh id in the first leg's shard."""
        first = legs[0].account
        shard = shard_of(first) if isinstance(first, UUID) else 0
        reference = new_id(shard)
        return await self.ledger.post(transaction_id or new_id(shard), "TEST", reference, legs)

    async def debit(self, account: UUID, minor_units: int) -> Posted:
        """Move money from a customer to clearing."""
        (posted,) = await self.post(take(account, minor_units), give(CLEARING, minor_units))
        return posted

    async def held(self, accounts: Sequence[UUID]) -> list[int]:
        """Return the accounts' balances."""
        found = [await self.ledger.balance(account) for account in accounts]
        return [posted.balance.minor_units if posted else 0 for posted in found]

    async def assert_right(self) -> None:
        """Fail with every difference that the judge finds."""
        assert await self.judge.check() == ()


def take(account: UUID | str, minor_units: int, currency: str = USD) -> Leg:
    """A debit leg."""
    return Leg(Side.DEBIT, account, Money(minor_units, currency))


def give(account: UUID | str, minor_units: int, currency: str = USD) -> Leg:
    """A credit leg."""
    return Leg(Side.CREDIT, account, Money(minor_units, currency))
