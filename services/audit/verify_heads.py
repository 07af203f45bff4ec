"""Finds missing and forged statements, and chains that no longer agree with a statement. Pure.

`StatementsCheck` reads the statements alone. `HeadsCheck` compares the links of one chain with all
statements about it. So a recomputed, cut or removed chain is found although its hashes match.

Statements and links are read in step: a statement waits only until its links are read.
"""

from collections import deque
from datetime import datetime, timedelta
from typing import NamedTuple

from services.audit.chain import CLOCKS_APART_MAX, AuditRow
from services.audit.heads import ChainHead, Mark, Signed, Statement
from services.audit.verify import ALL_CHAINS, Finding, Findings, Kind

UNSIGNED_MAX = timedelta(minutes=15)
"""Links are signed within a minute; after this time without a signed head, signing has stopped."""


_SECONDS = "%Y-%m-%d %H:%M:%S"
NOTES_MAX = 200
"""The largest number of notes to keep; the others are only counted."""
WAITING_MAX = 10_000
"""If this many signed heads wait for the links of a chain, that chain is read first."""


class SignedHead(NamedTuple):
    """What the first statement about a link says."""

    sequence: int
    hash: bytes
    statement: Statement


class StatementsCheck:
    """Takes the statements in order; `finish` returns the findings."""

    def __init__(self, mark: Mark, now: datetime) -> None:
        """Start with the mark, which was read before the statements, and the time."""
        self._now = now
        self._mark = mark
        self._findings = Findings(ALL_CHAINS)
        self._before = Mark()
        self._digest_at_mark: bytes | None = None
        self._highest: dict[int, tuple[int, ChainHead]] = {}
        self._notes: list[str] = []
        self._notes_more = 0
        self.count = 0
        self.first: Statement | None = None
        """The first genuine statement that covers the notes of repeated events."""
        self.last: Statement | None = None
        """The last genuine statement."""

    def feed(self, signed: Signed, *, genuine: bool) -> None:
        """Take the next statement, and whether its signature is valid."""
        self.count += 1
        number = signed.statement.number
        self._sequence(signed)
        if genuine:
            self._trust(signed.statement)
        else:
            self._add(Kind.HEAD_FORGED, number, f"statement {number}: the signature is not valid")
        self._before = Mark.of(signed)
        if number == self._mark.number:
            self._digest_at_mark = signed.digest

    def finish(self) -> list[Finding]:
        """Return all findings."""
        if self.last is not None and self.last.sign_time - self._now > CLOCKS_APART_MAX:
            detail = f"statement {self.last.number} is dated {self.last.sign_time:{_SECONDS}}"
            self._add(Kind.CLOCK, self.last.number, f"{detail}, in the future")
        last, mark = self._before.number, self._mark
        if mark.number > last:
            detail = f"{_span(last + 1, mark.number)} missing: OpenBao knows {mark.number}"
            self._add(Kind.HEAD_MISSING, last + 1, detail)
        elif mark.number and self._digest_at_mark not in (None, mark.digest):
            detail = f"statement {mark.number} differs from the one that OpenBao knows"
            self._add(Kind.HEAD_FORGED, mark.number, detail)
        return self._findings.all()

    @property
    def notes(self) -> list[str]:
        """Facts that are not signs of tampering."""
        more = f"{self._notes_more} more notes about statements"
        return [*self._notes, more] if self._notes_more else self._notes

    def _sequence(self, signed: Signed) -> None:
        number, before = signed.statement.number, self._before
        if number > before.number + 1:
            self._add(
                Kind.HEAD_MISSING,
                before.number + 1,
                f"{_span(before.number + 1, number - 1)} missing",
            )
        elif number <= before.number:
            self._add(Kind.HEAD_FORGED, number, f"statement {number} follows {before.number}")
        elif signed.statement.previous != before.digest:
            self._add(
                Kind.HEAD_FORGED, number, f"statement {number} names another statement before it"
            )

    def _trust(self, statement: Statement) -> None:
        self._note_late(statement)
        for head in statement.heads:
            self._continues(statement.number, head)
        if statement.covers_notes:
            self.first = self.first or statement
        self.last = statement

    def _continues(self, number: int, head: ChainHead) -> None:
        """Check that a chain only grows from statement to statement."""
        known = self._highest.get(head.chain)
        if known is None or head.sequence > known[1].sequence:
            self._highest[head.chain] = (number, head)
        elif head.hash != known[1].hash:
            ends = f"ends at {head.sequence}, and at {known[1].sequence} in statement {known[0]}"
            if head.sequence == known[1].sequence:
                ends = f"has a different link {head.sequence} than in statement {known[0]}"
            detail = f"statement {number} contradicts an earlier one: the chain {ends}"
            finding = Finding(Kind.HEAD_MISMATCH, head.chain, head.sequence, "", detail)
            self._findings.take(finding)

    def _note_late(self, statement: Statement) -> None:
        """Note a period when links were written but not signed, and a clock that was ahead.

        A link's own time counts only up to the time of its signature.
        """
        last = self.last
        if last is None:
            return
        times = (min(head.record_time, statement.sign_time) for head in statement.heads)
        span = f"{last.sign_time:{_SECONDS}} to {statement.sign_time:{_SECONDS}}"
        if any(time - last.sign_time > UNSIGNED_MAX for time in times):
            self._note(f"no head was signed from {span} although links were written")
        if statement.sign_time < last.sign_time:
            self._note(f"the time went backwards from {span} after statement {last.number}")

    def _note(self, note: str) -> None:
        if len(self._notes) < NOTES_MAX:
            self._notes.append(note)
        else:
            self._notes_more += 1

    def _add(self, kind: Kind, number: int, detail: str) -> None:
        self._findings.add(kind, number, "", detail)


class HeadsCheck:
    """Takes the links and signed heads of one chain; `finish` returns where they differ.

    Both are passed in order, and a signed head precedes the link that it names.
    """

    def __init__(self, chain: int, from_sequence: int = 0) -> None:
        self._chain = chain
        self._from = from_sequence
        self._waiting: deque[SignedHead] = deque()
        self._highest = 0
        self._first: tuple[SignedHead, str, str] | None = None
        self._differing = 0
        self._end: AuditRow | None = None
        self._unsigned_since: datetime | None = None
        self._ahead = 0
        self._ended = False

    @property
    def is_full(self) -> bool:
        """True when links must be read before the next statements."""
        return len(self._waiting) >= WAITING_MAX

    def reaches(self, sequence: int) -> bool:
        """Return whether a signed head of this link or of a later one was fed."""
        return self._highest >= sequence

    def feed_head(self, statement: Statement) -> None:
        """Take the chain's head of the next genuine statement; only the first about a link counts.

        A shorter chain than before is a finding of `StatementsCheck`.
        """
        head = statement.head(self._chain)
        if head is None or head.sequence <= self._highest:
            return
        self._highest = head.sequence
        signed = SignedHead(head.sequence, head.hash, statement)
        if head.sequence < self._from:
            return
        if self._ended:
            self._differs(signed, "", "the link is gone")
        else:
            self._waiting.append(signed)

    def feed(self, row: AuditRow) -> None:
        """Take the next link."""
        self._skip_to(row.sequence)
        if self._waiting and self._waiting[0].sequence == row.sequence:
            head = self._waiting.popleft()
            if head.hash != row.hash:
                self._differs(head, str(row.event_id), "the link has a different hash")
            elif row.record_time - head.statement.sign_time > CLOCKS_APART_MAX:
                self._ahead += 1
        if row.sequence <= self._highest:
            self._unsigned_since = None
        else:
            self._unsigned_since = self._unsigned_since or row.record_time
        self._end = row

    def end(self) -> None:
        """Note that there are no more links."""
        self._ended = True
        self._skip_to(self._highest + 1)

    @property
    def notes(self) -> list[str]:
        """Facts that are not signs of tampering."""
        if not self._ahead:
            return []
        return [
            f"{self._ahead} signed links of chain {self._chain} are dated after their signature"
        ]

    def finish(self, last: Statement | None, now: datetime) -> list[Finding]:
        """Return findings for the first signed head that the chain no longer has, an unsigned end,
        and an end that is dated in the future.

        `last` is the last genuine statement.
        """
        findings: list[Finding] = []
        if self._first is not None:
            head, event_id, fault = self._first
            detail = (
                f"signed head {head.statement.number} of"
                f" {head.statement.sign_time:{_SECONDS}}: {fault}"
                f" ({self._differing} signed heads differ)"
            )
            mismatch = Kind.HEAD_MISMATCH
            findings.append(Finding(mismatch, self._chain, head.sequence, event_id, detail))
        end = self._end
        if end is not None and end.record_time - now > CLOCKS_APART_MAX:
            detail = f"the last link is dated {end.record_time:{_SECONDS}}, in the future"
            findings.append(Finding(Kind.CLOCK, self._chain, end.sequence, "", detail))
        return findings + self._unsigned(last, now)

    def _skip_to(self, sequence: int) -> None:
        """Pass over signed heads of links that the chain does not have."""
        while self._waiting and self._waiting[0].sequence < sequence:
            self._differs(self._waiting.popleft(), "", "the link is gone")

    def _differs(self, head: SignedHead, event_id: str, fault: str) -> None:
        self._first = self._first or (head, event_id, fault)
        self._differing += 1

    def _unsigned(self, last: Statement | None, now: datetime) -> list[Finding]:
        """Report links that should be signed. Times in the future do not count."""
        end, since = self._end, self._unsigned_since
        if end is None or since is None:
            return []
        ended = min(end.record_time, now)
        if last is not None and max(ended - min(last.sign_time, now), end.record_time - since) <= (
            UNSIGNED_MAX
        ):
            return []
        since = f"since {last.sign_time:{_SECONDS}}" if last is not None else "yet"
        detail = f"no head was signed {since}"
        return [Finding(Kind.UNSIGNED, self._chain, end.sequence, "", detail)]


def _span(first: int, last: int) -> str:
    return f"statement {first} is" if first == last else f"statements {first} to {last} are"
