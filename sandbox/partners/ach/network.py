"""The clearing house as a whole: keeps book, clock, journal and notices consistent.

Each command is journalled before it is answered. At start the journal is replayed through the same
methods; then due notices that were not delivered are queued again.
"""

import asyncio
from collections import Counter
from dataclasses import dataclass
from datetime import date
from typing import Any

from sandbox.partners.ach.book import Book, Order, State, Transfer
from sandbox.partners.ach.clock import BusinessClock, Schedule
from sandbox.partners.ach.notices import SIGNATURE_HEADER, events_of
from sandbox.partners.ach.triggers import Ending, ending
from sandbox.partners.journal import Journal
from sandbox.partners.settings import AchSettings
from sandbox.partners.webhooks import Notice, NoticeSender

TICK_S = 0.5


@dataclass(frozen=True, slots=True)
class Advanced:
    """The effects of advancing the clock."""

    before: float
    after: float
    states: dict[str, int]
    webhooks: int


class AchNetwork:
    """One clearing house with one journal."""

    def __init__(
        self, settings: AchSettings, sender_kind: type[NoticeSender] = NoticeSender
    ) -> None:
        """Open the journal and replay it; the simulation passes its own kind of sender."""
        self.schedule = Schedule(settings.cutoff, settings.settlement)
        self.book = Book(self.schedule, settings.first_sequence)
        self.clock = BusinessClock(settings.clock_running)
        self.sender = sender_kind(settings.webhook, self._record_fate, SIGNATURE_HEADER)
        self._odfi_id = settings.odfi_id
        self._journal = Journal(settings.state_dir / "ach.journal")
        self._restore(settings)

    def trace_of(self, transfer: Transfer) -> str | None:
        """Return 15 digits, ODFI id and sequence; None for a tombstone or a rejection."""
        return f"{self._odfi_id}{transfer.sequence:07d}" if transfer.order is not None else None

    def submit(self, key: str, order: Order) -> Transfer:
        """Accept an order, or return the transfer that its key already has."""
        self.catch_up()
        known = self.book.known(key, order)
        if known is not None:
            return known
        at = self.clock.now()
        day, plan = self.schedule.processing_day(at), ending(order.account, order.name)
        self._journal.append(
            {
                "do": "accept",
                "key": key,
                "order": list(order),
                "at": at,
                "day": day.isoformat(),
                "ending": [plan.return_code, plan.is_late],
            }
        )
        return self.book.accept(key, order, at, day, plan)

    def reject(self, key: str, refusal: str) -> None:
        """Record a refusal, so that a caller that missed the answer can query it."""
        self.catch_up()
        if self.book.find(key) is None:
            at = self.clock.now()
            self._journal.append({"do": "reject", "key": key, "at": at, "refusal": refusal})
            self.book.reject(key, at, refusal)

    def cancel(self, key: str) -> Transfer:
        """Cancel by key; an unknown key becomes a tombstone."""
        self.catch_up()
        at = self.clock.now()
        transfer = self.book.cancel(key, at)
        self._journal.append({"do": "cancel", "key": key, "at": at})
        return transfer

    def find(self, key: str) -> Transfer | None:
        """Return the transfer with an idempotency key, in its current state."""
        self.catch_up()
        return self.book.find(key)

    def events_of(self, transfer: Transfer) -> list[Notice]:
        """Return the notices of a transfer so far."""
        trace = self.trace_of(transfer)
        return events_of(transfer, trace, self.schedule) if trace is not None else []

    def advance_to(self, instant: float) -> Advanced:
        """Advance the business clock and run every step that becomes due."""
        before = self.clock.now()
        self.clock.set(max(before, instant))
        self._journal.append({"do": "clock", "offset": self.clock.offset_s})
        states, webhooks = self._run(self.clock.now())
        return Advanced(before, self.clock.now(), states, webhooks)

    def catch_up(self) -> None:
        """Run the steps that have become due. Cheap when there are none."""
        due = self.book.next_due()
        if due is not None and due <= self.clock.now():
            self._run(self.clock.now())

    async def tick(self) -> None:
        """Run due steps in an endless loop, so that notices are sent without any request."""
        while True:
            self.catch_up()
            await asyncio.sleep(TICK_S)

    def counts(self) -> dict[str, Any]:
        """Return the counts that the control API shows."""
        states = Counter(
            "TOMBSTONE" if _is_tombstone(transfer) else str(transfer.state)
            for transfer in self.book.all()
        )
        return {"transfers": dict(states), "webhooks": self.sender.counts()}

    def close(self) -> None:
        """Release the journal."""
        self._journal.close()

    def _run(self, instant: float) -> tuple[dict[str, int], int]:
        changes = self.book.run_until(instant)
        if not changes:
            return {}, 0
        self._journal.append({"do": "run", "until": instant})
        webhooks = 0
        for change in changes:
            if change.state in (State.SETTLED, State.RETURNED):
                webhooks += self.sender.enqueue(self.events_of(change.transfer)[-1:])
        return dict(Counter(str(change.state) for change in changes)), webhooks

    def _record_fate(self, event_id: str, fate: str) -> None:
        self._journal.append({"do": "webhook", "id": event_id, "fate": fate})

    def _restore(self, settings: AchSettings) -> None:
        fates: dict[str, str] = {}
        has_clock = False
        for _, record in self._journal.replay():
            has_clock = has_clock or record["do"] == "clock"
            self._redo(record, fates)
        if not has_clock:
            start = settings.clock_start
            self.clock.set(start.timestamp() if start else BusinessClock(True).now())
            self._journal.append({"do": "clock", "offset": self.clock.offset_s})
        self._requeue(fates)
        self.catch_up()

    def _redo(self, record: dict[str, Any], fates: dict[str, str]) -> None:
        match record["do"]:
            case "accept":
                plan = Ending(record["ending"][0], record["ending"][1])
                day = date.fromisoformat(record["day"])
                self.book.accept(record["key"], Order(*record["order"]), record["at"], day, plan)
            case "reject":
                self.book.reject(record["key"], record["at"], record["refusal"])
            case "cancel":
                self.book.cancel(record["key"], record["at"])
            case "run":
                self.book.run_until(record["until"])
            case "clock":
                self.clock.offset_s = record["offset"]
            case "webhook":
                fates[record["id"]] = record["fate"]
            case _:
                raise ValueError(f"unknown journal record {record['do']!r}")

    def _requeue(self, fates: dict[str, str]) -> None:
        """Queue due and undelivered notices again; dead ones stay dead until redelivered."""
        for transfer in self.book.all():
            for event in self.events_of(transfer):
                fate = fates.get(event.id)
                if fate == "dead":
                    self.sender.dead[event.id] = event
                elif fate == "delivered":
                    self.sender.delivered += 1
                else:
                    self.sender.enqueue([event])


def _is_tombstone(transfer: Transfer) -> bool:
    return transfer.order is None and transfer.state is State.CANCELLED
