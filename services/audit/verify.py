"""What is wrong with a chain: changed, removed, reordered and inserted links, by name. Pure.

`ChainCheck` needs the links alone: numbers without a gap, hashes that fit, each link naming the one
before. It finds whatever was done without computing all later hashes anew. `TopicCheck` compares
the links with the topic that they came from, so it also finds a cut tail, a chain that was computed
anew to its end, and links that never were events.
"""

import uuid
from dataclasses import dataclass
from enum import StrEnum

from services.audit.chain import GENESIS, AuditRow, Entry, content_digest, digest, digest_at

PLACES_MAX = 500
"""Places that are tried for a link out of place; a longer disorder is reported as changes."""


class Kind(StrEnum):
    """What was done to a link."""

    CHANGED = "changed"
    REMOVED = "removed"
    REORDERED = "reordered"
    INSERTED = "inserted"


@dataclass(frozen=True, slots=True)
class Finding:
    """One link, or one missing link, and what was done to it."""

    kind: Kind
    chain: int
    sequence: int
    """Number of the link; 0 when only its place in the topic is known."""
    event_id: str
    """Empty when it is not known."""
    detail: str


class ChainCheck:
    """Takes the links of one chain in the order of their numbers; `finish` tells what is wrong."""

    def __init__(self, chain: int) -> None:
        self._chain = chain
        self._findings: list[Finding] = []
        self._before_hash = GENESIS
        self._last: AuditRow | None = None
        self._last_hash = GENESIS
        self._last_number = 0
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
                self._find(Kind.CHANGED, row, "its content does not have its hash")
        self._vacated(moved)
        return sorted(set(self._findings), key=lambda f: (f.sequence, f.kind, f.detail))

    def _vacated(self, moved: dict[int, int]) -> None:
        """A place that its link left and that no other belongs to once had a link of its own."""
        belonging = set(moved.values())
        end = max(belonging, default=0)
        for place in sorted(moved.keys() - belonging):
            if place < end:
                self._add(Kind.REMOVED, place, "", f"link {place} is gone, later ones moved up")

    def _missing(self, first: int, last: int) -> None:
        self._places += range(first, min(last, first + PLACES_MAX) + 1)
        span = f"link {first}" if first == last else f"links {first} to {last}"
        self._add(Kind.REMOVED, first, "", f"{span} of the chain not there")

    def _double(self, row: AuditRow) -> None:
        """Of two links with one number keep the one that goes on from the link before."""
        assert self._last is not None  # noqa: S101 - a number can only come twice after a first
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
        """The link does not name the one before: find out which of the two is to blame."""
        last = self._last
        if last is None:
            if sound:
                self._find(Kind.CHANGED, row, "hash computed anew: names a link before the first")
            return
        last_sound = not (self._unsound and self._unsound[-1] is last)
        if row.previous_hash == self._before_hash:
            self._places.append(last.sequence)
            if last_sound:
                self._find(Kind.INSERTED, last, "the next link names the link before this one")
            else:
                self._skipped.add(last.event_id)
        elif sound and last_sound:
            self._find(Kind.CHANGED, last, "hash computed anew: the next link names another hash")

    def _place_of(self, row: AuditRow) -> int | None:
        """Return the number under which the link's hash is right; None if there is none."""
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
    """Which offsets of a partition were looked at: from `low`, before `high`.

    Before `committed`, every event must be on record; behind it the group may be under way.
    """

    low: int
    committed: int
    high: int


class TopicCheck:
    """Takes a chain's links, then the partition's entries; `finish` tells where they differ."""

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
                detail = f"event at offset {entry.log_offset} of the topic is not on record"
                self._findings.append(Finding(Kind.REMOVED, self._chain, 0, event_id, detail))
            return
        sequence, offset, content = found
        # The same event may stand in the topic again, further behind; the first one counts.
        if entry.log_offset != offset:
            return
        self._seen.add(entry.event_id)
        if content != content_digest(entry):
            detail = f"differs from the event at offset {offset} of the topic"
            self._findings.append(Finding(Kind.CHANGED, self._chain, sequence, event_id, detail))

    def finish(self, span: Span) -> list[Finding]:
        """Return all findings; links older than the topic's first offset are not judged."""
        for event_id, (sequence, offset, _) in self._rows.items():
            if event_id not in self._seen and offset >= span.low:
                detail = f"no such event at offset {offset} of the topic"
                finding = Finding(Kind.INSERTED, self._chain, sequence, str(event_id), detail)
                self._findings.append(finding)
        return sorted(self._findings, key=lambda f: (f.sequence, f.detail))
