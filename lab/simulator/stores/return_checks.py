"""The checks for late returns in memory: the table payments.late_return_check."""

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from lab.simulator.stores.database import Database, Row
from lab.simulator.stores.leases import Leases

_CHECKED = "checked"


class ReturnChecks:
    """Completed transfers about which the bank asks once more."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.transfers: dict[uuid.UUID, Row] = {}
        self.return_checks: dict[uuid.UUID, Row] = {}
        self.checks_due = Leases(database, (_CHECKED,))
        """The index late_return_check_due."""

    def note_state(self, transfer_id: uuid.UUID, state: str, at: datetime, due: datetime) -> None:
        """Add the check of a completed transfer, and drop that of a returned one."""
        if state == "COMPLETED" and transfer_id not in self.return_checks:
            self._put(transfer_id, {"settle_time": at, "due_time": due, "attempts": 0})
        elif state == "RETURNED":
            self.end_return_checks(0, transfer_id)

    def claim_return_checks(self, until: datetime, now: datetime, rows_max: int) -> Sequence[Row]:
        """Claim the checks that are due, and return them with their transfers."""
        claimed: list[Row] = []
        for transfer_id in self.checks_due.over(now)[:rows_max]:
            check = self.return_checks[transfer_id]
            check = {**check, "due_time": until, "attempts": check["attempts"] + 1}
            self._put(transfer_id, check)
            claimed.append({**self.transfers[transfer_id], **check})
        return claimed

    def check_return_at(self, _shard: int, transfer_id: uuid.UUID, due: datetime) -> Sequence[Any]:
        """Set when a transfer is checked, if a check is left."""
        check = self.return_checks.get(transfer_id)
        if check is not None:
            self._put(transfer_id, {**check, "due_time": due})
        return [{"check_return_at": None}]

    def check_return_by(self, _shard: int, transfer_id: uuid.UUID, due: datetime) -> Sequence[Any]:
        """Set when a transfer is checked, unless the check is due earlier."""
        check = self.return_checks.get(transfer_id)
        if check is not None:
            self._put(transfer_id, {**check, "due_time": min(check["due_time"], due)})
        return [{"check_return_by": None}]

    def _put(self, transfer_id: uuid.UUID, check: Row) -> None:
        self._database.put(self.return_checks, transfer_id, check)
        self.checks_due.keep(transfer_id, _CHECKED, check["due_time"])

    def end_return_checks(self, _shard: int, transfer_id: uuid.UUID) -> Sequence[Any]:
        """End the checks of a transfer."""
        if transfer_id in self.return_checks:
            self._database.drop(self.return_checks, transfer_id)
            self._database.drop(self.checks_due.until, transfer_id)
        return [{"end_return_checks": None}]

    def held_transfers(self, _transfer_ids: Sequence[uuid.UUID]) -> Sequence[Row]:
        """Return no transfers: each simulated transaction ends before the next one begins."""
        return [{"held_transfers": []}]
