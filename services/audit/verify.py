"""Finds changed, removed, reordered and inserted links of a chain. Pure.

`ChainCheck` reads only the links. It checks that their numbers have no gap, their hashes match, and
each link names the previous one. It finds any tampering that does not recompute all later hashes.
Its memory does not grow with the chain: the findings, and the links that are kept for a second
check, have limits.
"""

import uuid
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum

from services.audit.chain import (
    GENESIS,
    AuditRow,
    Head,
    digest,
    digest_at,
)

PLACES_MAX = 500
"""The largest number of places to try for a misplaced link, and of misplaced links; a longer
disorder is reported as changed links."""
FINDINGS_MAX = 1000
"""The largest number of findings that one check names; the others are only counted."""


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
    NOTE_FORGED = "note forged"
    """A note of a repeated event was changed, added or removed."""
    CLOCK = "clock"
    """The last link or the last statement has a time in the future."""
    OFFSET = "offset"
    """A record has an offset in audit-logs that is not above that of the record before it."""
    POSITION = "position"
    """A record has a source offset that Kafka never assigned."""
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


class Findings:
    """The first findings of a check, and the number of the others."""

    def __init__(self, chain: int) -> None:
        self._chain = chain
        self._named: list[Finding] = []
        self._more: Counter[Kind] = Counter()

    def add(self, kind: Kind, sequence: int, event_id: str, detail: str) -> None:
        """Take a finding of the chain."""
        self.take(Finding(kind, self._chain, sequence, event_id, detail))

    def take(self, finding: Finding) -> None:
        """Take a finding."""
        if len(self._named) < FINDINGS_MAX:
            self._named.append(finding)
        else:
            self._more[finding.kind] += 1

    def all(self) -> list[Finding]:
        """Return the findings in their order, then one with the number of the others."""
        further = [
            Finding(kind, self._chain, 0, "", f"{count} more findings of this kind")
            for kind, count in sorted(self._more.items())
        ]
        return self._named + further


class ChainCheck:
    """Takes the links of one chain in the order of their numbers; `finish` returns the findings."""

    def __init__(self, chain: int, head: Head = Head()) -> None:  # noqa: B008 - it is frozen
        """Start after a link that is known to be right; without one, at the start of the chain."""
        self._findings = Findings(chain)
        self._before_hash = GENESIS
        self._last: AuditRow | None = None
        self._last_is_sound = True
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
            self._keep_unsound(row)
        self._before_hash = self._last_hash
        self._last_is_sound = sound
        self._last, self._last_hash, self._last_number = row, row.hash, row.sequence

    def finish(self) -> list[Finding]:
        """Return all findings in the order of the links."""
        self._may_belong_at(self._last_number + 1)
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
        found = set(self._findings.all())
        return sorted(found, key=lambda f: (not f.sequence, f.sequence, f.kind, f.detail))

    def _vacated(self, moved: dict[int, int]) -> None:
        """Report places whose link was moved away and to which no other link belongs."""
        belonging = set(moved.values())
        end = max(belonging, default=0)
        for place in sorted(moved.keys() - belonging):
            if place < end:
                self._add(Kind.REMOVED, place, "", f"link {place} is gone, later links moved up")

    def _keep_unsound(self, row: AuditRow) -> None:
        """Keep a link for a search of its place at the end."""
        if len(self._unsound) < PLACES_MAX:
            self._unsound.append(row)
        else:
            self._find(Kind.CHANGED, row, "its content does not match its hash")
        self._may_belong_at(row.sequence)

    def _may_belong_at(self, *places: int) -> None:
        self._places += places[: PLACES_MAX - len(self._places)]

    def _missing(self, first: int, last: int) -> None:
        self._may_belong_at(*range(first, min(last, first + PLACES_MAX) + 1))
        span = f"link {first}" if first == last else f"links {first} to {last}"
        self._add(Kind.REMOVED, first, "", f"{span} of the chain missing")

    def _double(self, row: AuditRow) -> None:
        """Of two links with the same number, keep the one that follows the previous link."""
        assert self._last is not None  # noqa: S101 - a number repeats only after its first link
        first, keep = self._last, self._last
        if not self._fits(first) and self._fits(row):
            keep = row
            self._last_is_sound = True
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
        if row.previous_hash == self._before_hash:
            self._may_belong_at(last.sequence)
            if self._last_is_sound:
                self._find(Kind.INSERTED, last, "the next link names the link before this one")
            elif self._unsound and self._unsound[-1] is last:
                self._skipped.add(last.event_id)
        elif sound and self._last_is_sound:
            self._find(Kind.CHANGED, last, "hash recomputed: the next link names another hash")

    def _place_of(self, row: AuditRow) -> int | None:
        """Return the sequence number for which the link's hash is correct, or None."""
        for place in self._places:
            if place != row.sequence and digest_at(row, place) == row.hash:
                return place
        return None

    def _find(self, kind: Kind, row: AuditRow, detail: str) -> None:
        self._add(kind, row.sequence, str(row.event_id), detail)

    def _add(self, kind: Kind, sequence: int, event_id: str, detail: str) -> None:
        self._findings.add(kind, sequence, event_id, detail)
