"""Finds missing and forged statements, and chains that no longer agree with a statement. Pure.

`StatementsCheck` reads the statements alone. `HeadsCheck` compares the links of one chain with all
statements about it. So a recomputed, cut or removed chain is found although its hashes match.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from services.audit.chain import AuditRow
from services.audit.heads import Mark, Signed, Statement
from services.audit.verify import ALL_CHAINS, Finding, Kind

UNSIGNED_MAX = timedelta(minutes=15)
"""Links are signed within a minute; after this time without a signed head, signing has stopped."""


@dataclass(frozen=True, slots=True)
class SignedHead:
    """What the first statement about a link says."""

    hash: bytes
    number: int
    """Number of the statement."""
    sign_time: datetime


@dataclass(slots=True)
class Trusted:
    """What the genuine statements say."""

    first: Statement | None = None
    last: Statement | None = None
    heads: dict[int, dict[int, SignedHead]] = field(
        default_factory=dict[int, dict[int, SignedHead]]
    )
    """Chain -> sequence -> signed head."""

    def of(self, chain: int) -> Mapping[int, SignedHead]:
        """Return the signed heads of a chain."""
        return self.heads.get(chain, {})


class StatementsCheck:
    """Takes the statements in order; `finish` returns the findings."""

    def __init__(self) -> None:
        self._findings: list[Finding] = []
        self._before = Mark()
        self._digests: dict[int, bytes] = {}
        self.trusted = Trusted()
        self.notes: list[str] = []
        self.count = 0

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
        self._digests[number] = signed.digest

    def finish(self, mark: Mark) -> list[Finding]:
        """Return all findings; the mark was read before the statements."""
        last = self._before.number
        if mark.number > last:
            detail = f"{_span(last + 1, mark.number)} missing: OpenBao knows {mark.number}"
            self._add(Kind.HEAD_MISSING, last + 1, detail)
        elif mark.number and self._digests.get(mark.number, mark.digest) != mark.digest:
            detail = f"statement {mark.number} differs from the one that OpenBao knows"
            self._add(Kind.HEAD_FORGED, mark.number, detail)
        return self._findings

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
            known = self.trusted.heads.setdefault(head.chain, {})
            one = SignedHead(head.hash, statement.number, statement.sign_time)
            if known.setdefault(head.sequence, one).hash != head.hash:
                detail = f"statement {statement.number} contradicts an earlier one"
                self._findings.append(
                    Finding(Kind.HEAD_MISMATCH, head.chain, head.sequence, "", detail)
                )
        self.trusted.first = self.trusted.first or statement
        self.trusted.last = statement

    def _note_late(self, statement: Statement) -> None:
        """Note a time in which links were written and none was signed."""
        last = self.trusted.last
        if last is None:
            return
        late = [h for h in statement.heads if h.record_time - last.sign_time > UNSIGNED_MAX]
        if late:
            span = f"{last.sign_time:%Y-%m-%d %H:%M:%S} to {statement.sign_time:%Y-%m-%d %H:%M:%S}"
            self.notes.append(f"no head was signed from {span} although links were written")

    def _add(self, kind: Kind, number: int, detail: str) -> None:
        self._findings.append(Finding(kind, ALL_CHAINS, number, "", detail))


class HeadsCheck:
    """Takes the links of one chain in order; `finish` returns where they differ from statements."""

    def __init__(self, chain: int, trusted: Trusted, from_sequence: int = 0) -> None:
        self._chain = chain
        self._last = trusted.last
        self._left = {s: h for s, h in trusted.of(chain).items() if s >= from_sequence}
        self._differing: dict[int, tuple[SignedHead, str]] = {}
        self._end: AuditRow | None = None

    def feed(self, row: AuditRow) -> None:
        """Take the next link."""
        head = self._left.pop(row.sequence, None)
        if head is not None and head.hash != row.hash:
            self._differing[row.sequence] = (head, str(row.event_id))
        self._end = row

    def finish(self) -> list[Finding]:
        """Return the first signed head that the chain no longer has, and an unsigned end."""
        absent = {sequence: (head, "") for sequence, head in self._left.items()}
        findings = [self._first(self._differing | absent)] if self._differing or absent else []
        return findings + self._unsigned()

    def _first(self, differing: Mapping[int, tuple[SignedHead, str]]) -> Finding:
        sequence = min(differing)
        head, event_id = differing[sequence]
        fault = "the link is gone" if sequence in self._left else "the link has another hash"
        detail = (
            f"signed head {head.number} of {head.sign_time:%Y-%m-%d %H:%M:%S}: {fault}"
            f" ({len(differing)} signed heads differ)"
        )
        return Finding(Kind.HEAD_MISMATCH, self._chain, sequence, event_id, detail)

    def _unsigned(self) -> list[Finding]:
        end, last = self._end, self._last
        if end is None or (last is not None and end.record_time - last.sign_time <= UNSIGNED_MAX):
            return []
        since = f"since {last.sign_time:%Y-%m-%d %H:%M:%S}" if last is not None else "yet"
        detail = f"no head was signed {since}"
        return [Finding(Kind.UNSIGNED, self._chain, end.sequence, "", detail)]


def _span(first: int, last: int) -> str:
    return f"statement {first} is" if first == last else f"statements {first} to {last} are"
