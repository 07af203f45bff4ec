"""Compares a chain's links with the events of their topic. Pure.

It finds a cut tail, a chain that was recomputed to its end, and links that were never events.
Links and events are read in step, by their offsets in the topic. Only those without a counterpart
yet are kept, up to a limit.
"""

import uuid
from dataclasses import dataclass, replace

from services.audit.chain import AuditRow, Entry, content_digest
from services.audit.notes import Note
from services.audit.positions import position_of
from services.audit.verify import Finding, Findings, Kind

WAITING_MAX = 10_000
"""The largest number of links, and of events, that wait for a counterpart out of order."""
LOOKED_UP_TOGETHER = 1000
"""Events without a link are looked up in the log in groups of this size."""


@dataclass(frozen=True, slots=True)
class Span:
    """What a partition of audit-logs holds."""

    low: int
    """Its first offset."""
    committed: int
    """Every event before this offset must be recorded; later ones may still be written."""


class TopicCheck:
    """Takes a chain's links and the partition's entries; `finish` returns where they differ."""

    def __init__(self, chain: int, span: Span) -> None:
        self.span = span
        self._rows: dict[int, AuditRow] = {}
        self._entries: dict[int, Entry] = {}
        self._notes: dict[int, Note] = {}
        self._chain = chain
        self._findings = Findings(chain)
        self._unknown: list[Entry] = []
        self._ended = False

    def feed_note(self, note: Note) -> None:
        """Take a note of a repeated event, before the events; too many are not compared."""
        if note.log_offset >= self.span.low and len(self._notes) < WAITING_MAX:
            self._notes[note.log_offset] = note

    def feed_row(self, row: AuditRow) -> None:
        """Take a link; links older than the topic's first offset are not compared."""
        if row.log_offset < self.span.low:
            return
        entry = self._entries.get(row.log_offset)
        if entry is not None and entry.event_id == row.event_id:
            del self._entries[row.log_offset]
            self._compare(row, entry)
            return
        other = self._rows.pop(row.log_offset, None)
        if other is not None:
            self._never_an_event(other)
        self._rows[row.log_offset] = row
        if len(self._rows) > WAITING_MAX:
            self._never_an_event(self._rows.pop(next(iter(self._rows))))

    def feed_entry(self, entry: Entry) -> None:
        """Take an event of the topic, in the order of offsets."""
        note = self._notes.pop(entry.log_offset, None)
        if note is not None and (note.event_id, note.position) != (
            entry.event_id,
            position_of(entry),
        ):
            self._no_repetition(note)
        row = self._rows.get(entry.log_offset)
        if row is not None and row.event_id == entry.event_id:
            del self._rows[entry.log_offset]
            self._compare(row, entry)
        elif self._ended:
            self._has_no_row(entry)
        else:
            self._entries[entry.log_offset] = entry
            if len(self._entries) > WAITING_MAX:
                self._has_no_row(self._entries.pop(next(iter(self._entries))))

    def end_of_rows(self) -> None:
        """Note that there are no more links, so entries need not wait for one."""
        self._ended = True
        for entry in self._entries.values():
            self._has_no_row(entry)
        self._entries.clear()

    def unknown(self, *, at_least: int = 1) -> list[Entry]:
        """Return and forget the events without a link, if there are at least this many."""
        if len(self._unknown) < at_least:
            return []
        unknown, self._unknown = self._unknown, []
        return unknown

    def is_repeated(self, entry: Entry, row: AuditRow | None) -> bool:
        """Take an event without a link at its offset, and the link that has its id, if any.

        Returns whether the event repeats the one of that link; otherwise the event is reported.
        """
        event = f"event at offset {entry.log_offset} of the topic"
        if row is None:
            self._findings.add(Kind.REMOVED, 0, str(entry.event_id), f"{event} is not recorded")
        elif row.chain != self._chain:
            self._replaced(Kind.INSERTED, row, f"has the {event}, partition {self._chain}")
        elif not _repeats(entry, row):
            self._replaced(Kind.CHANGED, row, f"differs from the {event}")
        else:
            return True
        return False

    def finish(self, low: int) -> list[Finding]:
        """Return all findings; `low` is the topic's first offset when it was read to its end."""
        for row in self._rows.values():
            if row.log_offset >= low:
                self._never_an_event(row)
        for note in self._notes.values():
            if note.log_offset >= low:
                self._no_repetition(note)
        return sorted(self._findings.all(), key=lambda f: (f.sequence, f.detail))

    def _replaced(self, kind: Kind, row: AuditRow, detail: str) -> None:
        found = Finding(kind, row.chain, row.sequence, str(row.event_id), detail)
        self._findings.take(found)

    def _has_no_row(self, entry: Entry) -> None:
        if entry.log_offset < self.span.committed:
            self._unknown.append(entry)

    def _compare(self, row: AuditRow, entry: Entry) -> None:
        if content_digest(row) != content_digest(entry):
            detail = f"differs from the event at offset {row.log_offset} of the topic"
            self._findings.add(Kind.CHANGED, row.sequence, str(row.event_id), detail)

    def _no_repetition(self, note: Note) -> None:
        detail = f"no such repetition at offset {note.log_offset} of the topic"
        self._findings.add(Kind.NOTE_FORGED, note.sequence, str(note.event_id), detail)

    def _never_an_event(self, row: AuditRow) -> None:
        detail = f"no such event at offset {row.log_offset} of the topic"
        self._findings.add(Kind.INSERTED, row.sequence, str(row.event_id), detail)


def _repeats(entry: Entry, row: AuditRow) -> bool:
    """Return whether the event differs from the recorded one only in its offsets."""
    return content_digest(row) == content_digest(replace(entry, source_offset=row.source_offset))


def ids_of(entries: list[Entry]) -> list[uuid.UUID]:
    """Return the ids of the events."""
    return [entry.event_id for entry in entries]
