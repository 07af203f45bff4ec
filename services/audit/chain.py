"""The links of a chain, and the hash of each link. Pure.

Each partition of audit-logs is a separate chain, so no global lock serialises the log. Links are
numbered from 1 without a gap. A link's hash is SHA-256 over the canonical encoding of all its other
columns, which include the hash of the previous link (32 zero bytes for the first link).

Canonical encoding, version 1: the ASCII text "bp.audit.v1" and a zero byte, then the columns in
the order of `AuditRow` without `hash`. Each column is its length (4 bytes, big-endian), then its
bytes:

- integer: 8 bytes, big-endian, signed
- time: microseconds since 1970-01-01 UTC, as an integer
- id: its 16 bytes
- text: UTF-8
"""

import hashlib
import struct
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

HASH_VERSION = 1
GENESIS = bytes(32)
"""The previous hash of a chain's first link."""

CLOCKS_APART_MAX = timedelta(minutes=5)
"""How far the clocks of two processes may differ. A time beyond that is wrong."""

_MAGIC = b"bp.audit.v1\0"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_NUMBER = struct.Struct(">Iq")
_LENGTH = struct.Struct(">I")


@dataclass(frozen=True, slots=True)
class Entry:
    """An event from audit-logs, not yet linked."""

    chain: int
    """Partition of audit-logs."""
    event_id: uuid.UUID
    event_type: str
    source_topic: str
    source_partition: int
    source_offset: int
    subject: str
    occur_time: datetime
    log_offset: int
    """Offset in the partition of audit-logs."""
    payload: bytes
    """The complete event, as it was first written."""


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One link, column by column."""

    chain: int
    sequence: int
    event_id: uuid.UUID
    event_type: str
    source_topic: str
    source_partition: int
    source_offset: int
    subject: str
    occur_time: datetime
    log_offset: int
    record_time: datetime
    hash_version: int
    previous_hash: bytes
    hash: bytes
    payload: bytes


@dataclass(frozen=True, slots=True)
class Head:
    """The end of a chain."""

    sequence: int = 0
    hash: bytes = GENESIS
    record_time: datetime = _EPOCH


def digest(row: AuditRow) -> bytes:
    """Return the 32-byte hash that a link must have under the encoding of its hash_version."""
    return _digest(row, row.sequence)


def digest_at(row: AuditRow, sequence: int) -> bytes:
    """Return the hash that the link would have with another sequence number."""
    return _digest(row, sequence)


def content_digest(item: AuditRow | Entry) -> bytes:
    """Return a digest of the columns that a link shares with its entry."""
    return hashlib.sha256(b"".join(_content(item))).digest()


def _digest(row: AuditRow, sequence: int) -> bytes:
    content = _content(row)
    parts = [
        _MAGIC,
        encoded_number(row.chain),
        encoded_number(sequence),
        *content[:-1],
        encoded_number(row.log_offset),
        encoded_number((row.record_time - _EPOCH) // _MICROSECOND),
        encoded_number(row.hash_version),
        encoded_bytes(row.previous_hash),
        content[-1],
    ]
    return hashlib.sha256(b"".join(parts)).digest()


def _content(item: AuditRow | Entry) -> list[bytes]:
    return [
        encoded_bytes(item.event_id.bytes),
        encoded_bytes(item.event_type.encode()),
        encoded_bytes(item.source_topic.encode()),
        encoded_number(item.source_partition),
        encoded_number(item.source_offset),
        encoded_bytes(item.subject.encode()),
        encoded_number((item.occur_time - _EPOCH) // _MICROSECOND),
        encoded_bytes(item.payload),
    ]


def encoded_number(value: int) -> bytes:
    """Return an integer in the canonical encoding."""
    return _NUMBER.pack(8, value)


def encoded_bytes(value: bytes) -> bytes:
    """Return bytes in the canonical encoding."""
    return _LENGTH.pack(len(value)) + value


def link(
    entries: Iterable[Entry], heads: Mapping[int, Head], record_time: datetime
) -> list[AuditRow]:
    """Return the entries as links that continue the heads, in order; each chain is separate.

    Times never decrease along a chain, although the clocks of two processes may differ. The only
    exception: after a time that is too far ahead, the current time is used.
    """
    ends = dict(heads)
    rows: list[AuditRow] = []
    for entry in entries:
        row = _linked(entry, ends.get(entry.chain, Head()), record_time)
        ends[entry.chain] = Head(row.sequence, row.hash, row.record_time)
        rows.append(row)
    return rows


def continued(now: datetime, before: datetime) -> datetime:
    """Return the time to write after `before`."""
    return before if timedelta() < before - now <= CLOCKS_APART_MAX else now


def _linked(entry: Entry, head: Head, record_time: datetime) -> AuditRow:
    row = AuditRow(
        chain=entry.chain,
        sequence=head.sequence + 1,
        event_id=entry.event_id,
        event_type=entry.event_type,
        source_topic=entry.source_topic,
        source_partition=entry.source_partition,
        source_offset=entry.source_offset,
        subject=entry.subject,
        occur_time=entry.occur_time,
        log_offset=entry.log_offset,
        record_time=continued(record_time, head.record_time),
        hash_version=HASH_VERSION,
        previous_hash=head.hash,
        hash=b"",
        payload=entry.payload,
    )
    return replace(row, hash=digest(row))
