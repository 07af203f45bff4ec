"""Finds events of a source topic that have no record, by gaps in their offsets. Pure.

The relay writes the source topics with a plain producer, so their offsets have no gaps, unlike the
offsets of audit-logs, where the router's transactions leave control records. Each offset of a
source partition must therefore be recorded, be the repetition of a recorded event, or be parked.

The events of one source partition are in several chains. Only offsets after the point where all of
these chains are known are judged.
"""

from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from services.audit.chain import AuditRow, Entry
from services.audit.verify import ALL_CHAINS, Finding, Kind

Source = tuple[str, int]
"""Topic and partition."""
Position = tuple[str, int, int]
"""Topic, partition and offset."""


def position_of(item: AuditRow | Entry) -> Position:
    """Return where the event was first written."""
    return item.source_topic, item.source_partition, item.source_offset


GAPS_MAX = 200
"""The largest number of gaps to report for one source partition."""


@dataclass(slots=True)
class _Seen:
    offsets: "array[int]" = field(default_factory=lambda: array("q"))
    before: set[int] = field(default_factory=set[int])
    """Chains that have links from before the first position that counts."""
    first: dict[int, int] = field(default_factory=dict[int, int])
    """Chain -> offset of its first link that counts."""


class PositionsCheck:
    """Takes the positions of all links, then all other known positions; `finish` names gaps."""

    def __init__(self) -> None:
        self._sources: dict[Source, _Seen] = {}
        self._known: dict[Source, set[int]] = {}

    def feed(self, position: Position, chain: int, *, counts: bool = True) -> None:
        """Take the position of a link.

        A link that does not count only helps to find the offset from which gaps are judged.
        """
        topic, partition, offset = position
        seen = self._sources.setdefault((topic, partition), _Seen())
        seen.offsets.append(offset)
        if counts:
            seen.first.setdefault(chain, offset)
        else:
            seen.before.add(chain)

    def excuse(self, positions: Iterable[Position]) -> None:
        """Take positions that rightly have no link: repeated, parked or not recorded yet."""
        for topic, partition, offset in positions:
            self._known.setdefault((topic, partition), set()).add(offset)

    def excused(self) -> int:
        """Return the number of offsets up to the last recorded ones that rightly have no link."""
        return sum(
            offset < max(seen.offsets)
            for source, seen in self._sources.items()
            for offset in self._known.get(source, set()).difference(seen.offsets)
        )

    def topics(self) -> list[str]:
        """Return the source topics of the links, sorted."""
        return sorted({topic for topic, _ in self._sources})

    def finish(self) -> list[Finding]:
        """Return the gaps in the order of topics, partitions and offsets."""
        return [
            _finding(source, first, last)
            for source in sorted(self._sources)
            for first, last in self._gaps(source)
        ]

    def _gaps(self, source: Source) -> list[tuple[int, int]]:
        seen = self._sources[source]
        if not seen.before <= seen.first.keys():
            return []
        begin = max((seen.first[chain] for chain in seen.before), default=0)
        found = _missing(begin, sorted({*seen.offsets, *self._known.get(source, ())}))
        last = max(seen.offsets)
        return [gap for gap in islice(found, GAPS_MAX) if gap[1] < last]


def _missing(begin: int, offsets: Iterable[int]) -> Iterator[tuple[int, int]]:
    expected = begin
    for offset in offsets:
        if offset > expected:
            yield expected, offset - 1
        expected = max(expected, offset + 1)


def _finding(source: Source, first: int, last: int) -> Finding:
    topic, partition = source
    offsets = f"offset {first}" if first == last else f"offsets {first} to {last}"
    detail = f"{offsets} of {topic}/{partition} not recorded"
    return Finding(Kind.GAP, ALL_CHAINS, 0, "", detail)
