"""The clearing house's notices in memory: the part of the schema `payments` that keeps them."""

import uuid
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol

from lab.simulator.stores.database import Database, Row
from lab.simulator.stores.return_checks import ReturnChecks


class WorkWatch(Protocol):
    """Receives the work for the workers of payments, after the commit."""

    def leased(self, until: datetime) -> None:
        """Handle the new lease of a pending transfer."""
        ...

    def kept(self) -> None:
        """Handle a kept notice that is not applied yet."""
        ...

    def decided(self) -> None:
        """Handle a reviewer's decision that is not carried out yet."""
        ...


class Record(dict[str, Any]):
    """A row that iterates over its values, as asyncpg's does."""

    def __iter__(self) -> Any:
        return iter(self.values())


def notice_row(
    notice_id: str,
    kind: str,
    trace_number: str,
    transfer_id: uuid.UUID | None,
    return_code: str,
    state: str,
) -> Record:
    """Return a row of payments.ach_notice."""
    return Record(
        notice_id=notice_id,
        type=kind,
        trace_number=trace_number,
        transfer_id=transfer_id,
        return_code=return_code,
        state=state,
    )


class NoticesTable(ReturnChecks):
    """Notices, and the transfers to match them with: by id and by trace number."""

    def __init__(self, database: Database, work: WorkWatch, now: Callable[[], datetime]) -> None:
        super().__init__(database)
        self._work = work
        self._now = now
        self.notices: dict[str, Row] = {}
        self.kept: dict[str, datetime] = {}
        """Notices that wait for their transfer, with the time of their arrival."""
        self.traces: dict[str, uuid.UUID] = {}
        self.marks: dict[str, datetime] = {}
        """Worker slot -> the time up to which its trace numbers are compared."""

    def keep_notice(
        self,
        notice_id: str,
        kind: str,
        trace_number: str,
        transfer_id: uuid.UUID | None,
        return_code: str,
        _content: bytes | None = None,
    ) -> Sequence[Row]:
        """Keep a notice. A duplicate changes nothing. Return the notice's state, or REUSED."""
        known = self.notices.get(notice_id)
        row = notice_row(notice_id, kind, trace_number, transfer_id, return_code, "KEPT")
        if known is not None:
            same = Record(row, state="") == Record(known, state="")
            return [{"state": known["state"] if same else "REUSED"}]
        self._database.put(self.notices, notice_id, row)
        self._database.put(self.kept, notice_id, self._now())
        self._database.tell(self._work.kept)
        return [{"state": "KEPT"}]

    def keep_conflict(self, notice_id: str, *values: Any) -> Sequence[Any]:
        """Keep a notice for a person. A duplicate changes nothing."""
        kind, trace_number, transfer_id, return_code, _content = values
        if notice_id not in self.notices:
            notice = (notice_id, kind, trace_number, transfer_id, return_code, "CONFLICT")
            self._database.put(self.notices, notice_id, notice_row(*notice))
        return [{"keep_conflict": None}]

    def _set_notice(self, notice_id: str, state: str) -> None:
        self._database.put(self.notices, notice_id, Record(self.notices[notice_id], state=state))
        if notice_id in self.kept:
            self._database.drop(self.kept, notice_id)

    def close_notice(self, notice_id: str, state: str) -> Sequence[Any]:
        """Set the final state of a notice that changed nothing."""
        if notice_id in self.kept:
            self._set_notice(notice_id, state)
        return [{"close_notice": None}]

    def matching_notices(
        self, rows_max: int, types: Sequence[str], after: str = ""
    ) -> Sequence[Record]:
        """Return the kept notices of these types whose transfer exists, oldest first.

        Without `after`, the first page; else the notices that were received after that one.
        """
        found: list[Record] = []
        received = list(self.notices) if after else []
        earlier = set(received[: received.index(after) + 1]) if after in received else set[str]()
        for notice_id in self.kept:
            if notice_id in earlier:
                continue
            row = self.notices[notice_id]
            key = row["transfer_id"]
            known = key in self.transfers or (key is None and row["trace_number"] in self.traces)
            if known and row["type"] in types:
                found.append(_without_state(row))
        return found[:rows_max]

    def give_up_notices(self, before: datetime, types: Sequence[str]) -> Sequence[Record]:
        """Set old kept notices to CONFLICT, except those that match a transfer."""
        matching = {row["notice_id"] for row in self.matching_notices(len(self.kept), types)}
        late = {notice_id for notice_id, at in self.kept.items() if at < before}
        old = sorted(late - matching)
        for notice_id in old:
            self._set_notice(notice_id, "CONFLICT")
        return [_without_state(self.notices[notice_id]) for notice_id in old]

    def taken_traces(
        self, ids: Sequence[uuid.UUID], traces: Sequence[str], since: datetime
    ) -> Sequence[Row]:
        """Return transfers that share their number with another one created since then."""
        floor = int(since.timestamp() * 1000) << 80
        rows = [row for one, row in self.transfers.items() if one.int >= floor]
        return [
            {"transfer_id": one}
            for one, trace in zip(ids, traces, strict=True)
            if any(row["trace_number"] == trace and row["transfer_id"] != one for row in rows)
        ]

    def learned_traces(
        self,
        after: datetime,
        until: datetime,
        settlement_wait: timedelta,
        return_wait: timedelta,
        rows_max: int,
    ) -> Sequence[Row]:
        """Return transfers that got their trace number in a range of time, oldest first."""
        times = {
            one: row["lease_until"] - settlement_wait
            for one, row in self.transfers.items()
            if row["state"] == "SUBMITTED"
        } | {one: check["due_time"] - return_wait for one, check in self.return_checks.items()}
        learned = sorted((time, one) for one, time in times.items() if after < time <= until)
        return [
            {
                "transfer_id": one,
                "trace_number": self.transfers[one]["trace_number"],
                "learn_time": time,
            }
            for time, one in learned[:rows_max]
        ]

    def traces_mark(self, slot: str) -> Sequence[Row]:
        """Return the time up to which the trace numbers of a slot are compared."""
        return [{"through": self.marks[slot]}] if slot in self.marks else []

    def move_traces_mark(self, slot: str, through: datetime) -> Sequence[Row]:
        """Set the time up to which the trace numbers of a slot are compared."""
        self._database.put(self.marks, slot, through)
        return []


def _without_state(row: Row) -> Record:
    return Record((name, value) for name, value in row.items() if name != "state")
