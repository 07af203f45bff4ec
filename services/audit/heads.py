"""Signed statements about the heads of all chains. Pure.

A hash chain alone does not stop a superuser of the database, who can recompute every hash. So the
service signs a statement of all heads with a key that OpenBao never hands out, and keeps it outside
the database. A statement is one line:

- its body, JSON with sorted names: form, number, sign_time, previous, heads
- a tab, then the signature over the body, as OpenBao's transit engine writes it

Statements are numbered from 1 without a gap, and each names the SHA-256 of the line before it (32
zero bytes for the first). So a missing or changed statement is found like a missing link.

Statements of form v1 do not name the last note of repeated events; they remain verifiable.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from services.audit.chain import GENESIS, continued

FORM_WITHOUT_NOTES = "bp.audit.heads.v1"
FORM = "bp.audit.heads.v2"

LINE_BYTES_MAX = 65_536
"""A longer line is not a statement; a statement of twelve chains has about 3 KB."""


@dataclass(frozen=True, slots=True)
class ChainHead:
    """The last link of a chain; a chain without links has none."""

    chain: int
    sequence: int
    hash: bytes
    record_time: datetime
    log_offset: int
    """Offset of the link's event in audit-logs."""
    notes: int = 0
    """Number of the chain's last note of a repeated event; 0 if there is none."""
    notes_hash: bytes = GENESIS
    """Hash of that note."""


@dataclass(frozen=True, slots=True)
class Statement:
    """The heads of all chains at one time."""

    number: int
    sign_time: datetime
    previous: bytes
    """Digest of the line before, 32 bytes."""
    heads: tuple[ChainHead, ...]
    """By number of the chain."""
    form: str = FORM

    @property
    def covers_notes(self) -> bool:
        """Whether the heads name the last notes of repeated events."""
        return self.form != FORM_WITHOUT_NOTES

    def head(self, chain: int) -> ChainHead | None:
        """Return the head of a chain, None if the chain had no link."""
        return next((head for head in self.heads if head.chain == chain), None)


@dataclass(frozen=True, slots=True)
class Signed:
    """A statement as it is kept."""

    statement: Statement
    body: bytes
    signature: str
    """`vault:v<version of the key>:<base64>`."""

    @property
    def line(self) -> bytes:
        """The kept line, without its line feed."""
        return self.body + b"\t" + self.signature.encode()

    @property
    def digest(self) -> bytes:
        """The digest by which the next statement names this one, 32 bytes."""
        return hashlib.sha256(self.line).digest()


@dataclass(frozen=True, slots=True)
class Mark:
    """Number and digest of the last statement, which OpenBao keeps too."""

    number: int = 0
    digest: bytes = GENESIS

    @classmethod
    def of(cls, signed: Signed) -> "Mark":
        """Return the mark of a statement."""
        return cls(signed.statement.number, signed.digest)


def next_statement(
    marks: Iterable[Mark], heads: Iterable[ChainHead], now: datetime, last: Statement | None
) -> Statement:
    """Return the statement that follows the highest mark.

    Times never decrease, although the clocks of two processes may differ. The only exception: after
    a time that is too far ahead, `now` is used, because that clock was wrong.
    """
    mark = max(marks, key=lambda one: one.number)
    return Statement(
        number=mark.number + 1,
        sign_time=continued(now, last.sign_time) if last is not None else now,
        previous=mark.digest,
        heads=tuple(sorted(heads, key=lambda head: head.chain)),
    )


def encode(statement: Statement) -> bytes:
    """Return the body of a statement, the bytes that are signed."""
    facts = {
        "form": statement.form,
        "number": statement.number,
        "sign_time": _text(statement.sign_time),
        "previous": statement.previous.hex(),
        "heads": [_facts(head, statement.form) for head in statement.heads],
    }
    return json.dumps(facts, sort_keys=True, separators=(",", ":")).encode()


def parse(line: bytes) -> Signed | None:
    """Return the statement in a line; None if the line is not a complete statement."""
    if len(line) > LINE_BYTES_MAX:
        return None
    body, _, signature = line.partition(b"\t")
    try:
        facts = json.loads(body)
        statement = Statement(
            number=int(facts["number"]),
            sign_time=datetime.fromisoformat(facts["sign_time"]),
            previous=bytes.fromhex(facts["previous"]),
            heads=tuple(_head(head) for head in facts["heads"]),
            form=_known_form(facts["form"]),
        )
        # Another encoding of the same facts is refused, because it was not signed.
        if not signature or encode(statement) != body:
            return None
        return Signed(statement, body, signature.decode("ascii"))
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return None


def _facts(head: ChainHead, form: str) -> dict[str, object]:
    facts: dict[str, object] = {
        "chain": head.chain,
        "sequence": head.sequence,
        "hash": head.hash.hex(),
        "record_time": _text(head.record_time),
        "log_offset": head.log_offset,
    }
    if form == FORM_WITHOUT_NOTES:
        return facts
    return facts | {"notes": head.notes, "notes_hash": head.notes_hash.hex()}


def _known_form(form: str) -> str:
    if form not in (FORM, FORM_WITHOUT_NOTES):
        raise ValueError(form)
    return form


def _head(facts: dict[str, str]) -> ChainHead:
    return ChainHead(
        chain=int(facts["chain"]),
        sequence=int(facts["sequence"]),
        hash=bytes.fromhex(facts["hash"]),
        record_time=datetime.fromisoformat(facts["record_time"]),
        log_offset=int(facts["log_offset"]),
        notes=int(facts.get("notes", 0)),
        notes_hash=bytes.fromhex(facts.get("notes_hash", GENESIS.hex())),
    )


def _text(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat()
