"""The schema `customers` in memory, with the projected balances only."""

import uuid
from collections.abc import Sequence
from typing import Any

from lab.simulator.stores.database import Database


class CustomersTables:
    """The balances that customers projects from events."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.balances: dict[uuid.UUID, tuple[str, int, int]] = {}

    def apply_positions(
        self,
        account_ids: Sequence[uuid.UUID],
        currencies: Sequence[str],
        balances: Sequence[int],
        positions: Sequence[int],
    ) -> Sequence[Any]:
        """Store absolute balances. A row with a higher position is kept."""
        arrived = zip(account_ids, currencies, balances, positions, strict=True)
        for account_id, currency, balance, position in arrived:
            _, _, known = self.balances.get(account_id, (currency, 0, -1))
            if known < position:
                self._database.put(self.balances, account_id, (currency, balance, position))
        return []
