"""Notes of repeated events: source offsets that hold a recorded event a second time. Pure.

The relay writes at least once, so a source topic may hold an event twice; the log has one record of
it and a note of the other offset. The notes of each chain are a hash chain too, numbered from 1,
and the signed heads name its last note, so a note that is changed or added later is found. A
missing record is explained only by a note that a signed head covers.
"""

import hashlib
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from services.audit.chain import GENESIS, Entry, encoded_bytes, encoded_number
from services.audit.positions import Position, position_of
from services.audit.verify import Finding, Findings, Kind

_MAGIC = b"bp.audit.repeated.v1\0"


@dataclass(frozen=True, slots=True)
class Note:
    """One note, column by column. A row without a chain, of an earlier version, does not count.

    The hash is SHA-256 over "bp.audit.repeated.v1", a zero byte and the other columns in this
    order, in the encoding of `chain.py`.
    """

    chain: int
    sequence: int
    source_topic: str
    source_partition: int
    source_offset: int
    log_offset: int
    """Offset of the repetition in audit-logs."""
    event_id: uuid.UUID
    previous_hash: bytes
    hash: bytes

    @property
    def position(self) -> Position:
        """The place that holds the event a second time."""
        return self.source_topic, self.source_partition, self.source_offset


@dataclass(frozen=True, slots=True)
class NoteHead:
    """The last note of a chain."""

    sequence: int = 0
    hash: bytes = GENESIS


def note_digest(note: Note) -> bytes:
    """Return the 32-byte hash that a note must have."""
    parts = (
        _MAGIC,
        encoded_number(note.chain),
        encoded_number(note.sequence),
        encoded_bytes(note.source_topic.encode()),
        encoded_number(note.source_partition),
        encoded_number(note.source_offset),
        encoded_number(note.log_offset),
        encoded_bytes(note.event_id.bytes),
        encoded_bytes(note.previous_hash),
    )
    return hashlib.sha256(b"".join(parts)).digest()


def noted(repeated: Iterable[Entry], heads: Mapping[int, NoteHead]) -> list[Note]:
    """Return the notes of repeated events that continue the heads, in order."""
    ends = dict(heads)
    notes: list[Note] = []
    for entry in repeated:
        end = ends.get(entry.chain, NoteHead())
        note = Note(
            entry.chain,
            end.sequence + 1,
            *position_of(entry),
            log_offset=entry.log_offset,
            event_id=entry.event_id,
            previous_hash=end.hash,
            hash=b"",
        )
        note = replace(note, hash=note_digest(note))
        ends[entry.chain] = NoteHead(note.sequence, note.hash)
        notes.append(note)
    return notes


class NotesCheck:
    """Takes the notes of one chain in order, and the signed heads; returns the valid positions."""

    def __init__(self, chain: int) -> None:
        self._findings = Findings(chain)
        self._waiting: list[Position] = []
        self._recorded = -1
        self.end = NoteHead()
        """The last note that was fed."""

    def feed(self, note: Note, *, on_record: bool) -> None:
        """Take the next note; it counts only if its event is recorded in the same partition."""
        follows = note.sequence == self.end.sequence + 1 and note.previous_hash == self.end.hash
        if not follows or note.hash != note_digest(note):
            self._forged(note.sequence, str(note.event_id), "is not the note that was written")
        elif note.log_offset <= self._recorded:
            self._forged(note.sequence, str(note.event_id), "was added after its offset was signed")
        elif on_record:
            self._waiting.append(note.position)
        self.end = NoteHead(note.sequence, note.hash)

    def signed(self, head: NoteHead, log_offset: int) -> list[Position]:
        """Take a signed head; return the positions of the notes up to it.

        Notes that differ from the head explain nothing. `log_offset` is the offset of the chain's
        signed link: earlier events of audit-logs were handled, so later notes have later events.
        """
        self._recorded = log_offset
        positions, self._waiting = self._waiting, []
        if self.end == head:
            return positions
        fault = "is absent" if self.end.sequence < head.sequence else "differs from its signed head"
        self._forged(head.sequence, "", fault)
        # Compare later notes with the signed head, so that one difference is one finding.
        self.end = head
        return []

    def finish(self) -> list[Finding]:
        """Return all findings."""
        return self._findings.all()

    def _forged(self, sequence: int, event_id: str, fault: str) -> None:
        detail = f"note {sequence} of repeated events {fault}"
        self._findings.add(Kind.NOTE_FORGED, sequence, event_id, detail)
