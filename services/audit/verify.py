"""Finds changed, removed, reordered and inserted links of a chain. Pure.

`ChainCheck` reads only the links. It checks that their numbers have no gap, their hashes match, and
each link names the previous one. It finds any tampering that does not recompute all later hashes.
`TopicCheck` compares the links with the topic that they came from. So it also finds a cut tail, a
chain that was recomputed to its end, and links that were never events.
"""

import uuid
from dataclasses import dataclass
from enum import StrEnum

from services.audit.chain import (
    GENESIS,
    AuditRow,
    Entry,
    Head,
    content_digest,
    digest,
    digest_at,
)

PLACES_MAX = 500
"""The largest number of places to try for a misplaced link; a longer disorder is reported as
changed links."""


class Kind(StrEnum):
    """How the log was tampered with, or what it lacks."""

    CHANGED = "changed"
    REMOVED = "removed"
    REORDERED = "reordered"
    INSERTED = "inserted"
    HEAD_MISMATCH = "head mismatch"
    """The chain no longer has a link that a signed statement names."""
    HEAD_FORGED = "head forged"
    """A statement was changed, or its signature is not valid; the sequence is its number."""
    HEAD_MISSING = "head missing"
    """Statements are missing; the sequence is the first one's number."""
    UNSIGNED = "unsigned"
    """Links were written after the last signed head, and no head is being signed."""
    GAP = "gap"
    """An event of a source topic has no record."""


ALL_CHAINS = -1
"""The chain of a finding that is not about one chain."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One link, or one missing link, and how it was tampered with."""

    kind: Kind
    chain: int
    """ALL_CHAINS when the finding is not about one chain."""
    sequence: int
    """Number of the link; 0 when only its place in the topic is known."""
    event_id: str
    """Empty when the event is unknown."""
    detail: str


class ChainCheck:
    """Takes the links of one chain in the order of their numbers; `finish` returns the findings."""

    def __init__(self, chain: int, head: Head = Head()) -> None:  # noqa: B008 - it is frozen
        """Start after a link that is known to be right; without one, at the start of the chain."""
        self._chain = chain
        self._findings: list[Finding] = []
        self._before_hash = GENESIS
        self._last: AuditRow | None = None
        self._last_hash = head.hash
        self._last_number = head.sequence
        self._unsound: list[AuditRow] = []
        self._skipped: set[uuid.UUID] = set()
        self._places: list[int] = []
        self.rows = 0

    def feed(self, row: AuditRow) -> None:
        """Take the next link."""
        self.rows += 1
        if row.sequence == self._last_number:
            self._double(row)
            return
        gap = row.sequence > self._last_number + 1
        if gap:
            self._missing(self._last_number + 1, row.sequence - 1)
        sound = row.hash == digest(row)
        if not gap and row.previous_hash != self._last_hash:
            self._broken_link(row, sound)
        if not sound:
            self._unsound.append(row)
            self._places.append(row.sequence)
        self._before_hash = self._last_hash
        self._last, self._last_hash, self._last_number = row, row.hash, row.sequence

    def finish(self) -> list[Finding]:
        """Return all findings in the order of the links."""
        self._places.append(self._last_number + 1)
        moved: dict[int, int] = {}
        for row in self._unsound:
            place = self._place_of(row)
            if place is not None:
                moved[row.sequence] = place
                self._find(Kind.REORDERED, row, f"belongs at {place}")
            elif row.event_id in self._skipped:
                self._find(Kind.INSERTED, row, "the next link names the link before this one")
            else:
                self._find(Kind.CHANGED, row, "its content does not match its hash")
        self._vacated(moved)
        return sorted(set(self._findings), key=lambda f: (f.sequence, f.kind, f.detail))

    def _vacated(self, moved: dict[int, int]) -> None:
        """Report places whose link was moved away and to which no other link belongs."""
        belonging = set(moved.values())
        end = max(belonging, default=0)
        for place in sorted(moved.keys() - belonging):
            if place < end:
                self._add(Kind.REMOVED, place, "", f"link {place} is gone, later links moved up")

    def _missing(self, first: int, last: int) -> None:
        self._places += range(first, min(last, first + PLACES_MAX) + 1)
        span = f"link {first}" if first == last else f"links {first} to {last}"
        self._add(Kind.REMOVED, first, "", f"{span} of the chain missing")

    def _double(self, row: AuditRow) -> None:
        """Of two links with the same number, keep the one that follows the previous link."""
        assert self._last is not None  # noqa: S101 - a number repeats only after its first link
        first, keep = self._last, self._last
        if not self._fits(first) and self._fits(row):
            keep = row
            self._unsound = [r for r in self._unsound if r is not first]
        other = row if keep is first else first
        self._last, self._last_hash = keep, keep.hash
        self._find(Kind.INSERTED, other, "a second link with this number")

    def _fits(self, row: AuditRow) -> bool:
        return row.previous_hash == self._before_hash and row.hash == digest(row)

    def _broken_link(self, row: AuditRow, sound: bool) -> None:
        """Find which of two links was changed, when the second does not name the first."""
        last = self._last
        if last is None:
            if sound:
                self._find(Kind.CHANGED, row, "hash recomputed: it names a link before the first")
            return
        last_sound = not (self._unsound and self._unsound[-1] is last)
        if row.previous_hash == self._before_hash:
            self._places.append(last.sequence)
            if last_sound:
                self._find(Kind.INSERTED, last, "the next link names the link before this one")
            else:
                self._skipped.add(last.event_id)
        elif sound and last_sound:
            self._find(Kind.CHANGED, last, "hash recomputed: the next link names another hash")

    def _place_of(self, row: AuditRow) -> int | None:
        """Return the sequence number for which the link's hash is correct, or None."""
        for place in self._places[:PLACES_MAX]:
            if place != row.sequence and digest_at(row, place) == row.hash:
                return place
        return None

    def _find(self, kind: Kind, row: AuditRow, detail: str) -> None:
        self._add(kind, row.sequence, str(row.event_id), detail)

    def _add(self, kind: Kind, sequence: int, event_id: str, detail: str) -> None:
        self._findings.append(Finding(kind, self._chain, sequence, event_id, detail))


@dataclass(frozen=True, slots=True)
class Span:
    """The offsets that were read from a partition: `low` inclusive, `high` exclusive.

    Every event before `committed` must be recorded; the group may still be writing later ones.
    """

    low: int
    committed: int
    high: int


class TopicCheck:
    """Takes a chain's links, then the partition's entries; `finish` returns where they differ."""

    def __init__(self, chain: int) -> None:
        self._chain = chain
        self._rows: dict[uuid.UUID, tuple[int, int, bytes]] = {}
        self._seen: set[uuid.UUID] = set()
        self._findings: list[Finding] = []

    def feed_row(self, row: AuditRow) -> None:
        """Take a link; only its place and a digest of its content are kept."""
        self._rows[row.event_id] = (row.sequence, row.log_offset, content_digest(row))

    def feed_entry(self, entry: Entry, span: Span) -> None:
        """Take an event of the topic, in the order of offsets."""
        found = self._rows.get(entry.event_id)
        event_id = str(entry.event_id)
        if found is None:
            if entry.log_offset < span.committed:
                detail = f"event at offset {entry.log_offset} of the topic is not recorded"
                self._findings.append(Finding(Kind.REMOVED, self._chain, 0, event_id, detail))
            return
        sequence, offset, content = found
        # The topic may contain the same event again at a later offset; the first one counts.
        if entry.log_offset != offset:
            return
        self._seen.add(entry.event_id)
        if content != content_digest(entry):
            detail = f"differs from the event at offset {offset} of the topic"
            self._findings.append(Finding(Kind.CHANGED, self._chain, sequence, event_id, detail))

    def finish(self, span: Span) -> list[Finding]:
        """Return all findings; links older than the topic's first offset are not compared."""
        for event_id, (sequence, offset, _) in self._rows.items():
            if event_id not in self._seen and offset >= span.low:
                detail = f"no such event at offset {offset} of the topic"
                finding = Finding(Kind.INSERTED, self._chain, sequence, str(event_id), detail)
                self._findings.append(finding)
        return sorted(self._findings, key=lambda f: (f.sequence, f.detail))
