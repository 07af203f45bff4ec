"""Finds events of a source topic that have no record, by gaps in their offsets. Pure.

The relay writes the source topics with a plain producer, so their offsets have no gaps, unlike the
offsets of audit-logs, where the router's transactions leave control records. Each offset of a
source partition must therefore be recorded, be the repetition of a recorded event, or be parked.

The events of one source partition are in several chains. Only offsets after the point where all of
these chains are known are checked, and only offsets that Kafka assigned. The chains are read
together, so the known offsets form few ranges.
"""

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice

from services.audit.chain import AuditRow, Entry
from services.audit.heads import Statement
from services.audit.ranges import Ranges
from services.audit.verify import ALL_CHAINS, Finding, Findings, Kind

Source = tuple[str, int]
"""Topic and partition."""
Position = tuple[str, int, int]
"""Topic, partition and offset."""


def position_of(item: AuditRow | Entry) -> Position:
    """Return where the event was first written."""
    return item.source_topic, item.source_partition, item.source_offset


UPGRADED_AFTER = timedelta(minutes=15)
"""If the oldest link of a log is this much older than its first signed notes, it was upgraded."""
RELEASE_MAX = timedelta(days=1)
"""How long processes of an earlier version may still record after others sign notes."""


class JudgedLinks:
    """Takes the links in the order of reading; returns which of them count in the check for gaps.

    The notes of an earlier version are not signed, even during a rolling release. Only a link that
    the first signed notes cover shows that a log is older, because a later link may be dated back.
    """

    def __init__(self) -> None:
        self._oldest: datetime | None = None

    def counts(self, row: AuditRow, first: Statement | None) -> bool:
        """Take a link; `first` is the first statement that covers notes of repetitions, if any."""
        head = None if first is None else first.head(row.chain)
        if first is None or (head is not None and row.sequence <= head.sequence):
            self._oldest = min(self._oldest or row.record_time, row.record_time)
            return False
        upgraded = self._oldest is not None and first.sign_time - self._oldest > UPGRADED_AFTER
        return not upgraded or row.record_time > first.sign_time + RELEASE_MAX


GAPS_MAX = 200
"""The largest number of gaps to report for one source partition."""
RANGES_MAX = 250_000
"""The largest number of ranges to keep for one source partition; with more, it is not checked."""


@dataclass(slots=True)
class _Seen:
    recorded: Ranges = field(default_factory=Ranges)
    excused: Ranges = field(default_factory=Ranges)
    before: set[int] = field(default_factory=set[int])
    """Chains that have links from before the first position that counts."""
    first: dict[int, int] = field(default_factory=dict[int, int])
    """Chain -> offset of its first link that counts."""
    scattered: bool = False
    """There are more ranges than are kept."""
    highest: AuditRow | None = None
    """The link with the highest offset."""

    def limit(self) -> None:
        if len(self.recorded) > RANGES_MAX or len(self.excused) > RANGES_MAX:
            self.scattered = True
            self.recorded, self.excused = Ranges(), Ranges()


class PositionsCheck:
    """Takes the positions of all links, then all other known positions; `finish` names gaps."""

    def __init__(self, sources: Container[Source]) -> None:
        """Start with the source partitions that Kafka has."""
        self._existing = sources
        self._sources: dict[Source, _Seen] = {}
        self._impossible = Findings(ALL_CHAINS)

    def feed(self, row: AuditRow, *, counts: bool = True) -> None:
        """Take a link. A link that does not count only limits the search for gaps."""
        topic, partition, offset = position_of(row)
        chain = row.chain
        if (topic, partition) not in self._existing or offset < 0:
            self._take_impossible(row, f"Kafka has no offset {offset} of {topic}/{partition}")
            return
        seen = self._of((topic, partition))
        if counts:
            seen.first.setdefault(chain, offset)
        else:
            seen.before.add(chain)
        if not seen.scattered:
            if offset > seen.recorded.last:
                seen.highest = row
            seen.recorded.add(offset)
            seen.limit()

    def excuse(self, positions: Iterable[Position]) -> None:
        """Take positions that rightly have no link: repeated, parked or not recorded yet."""
        for topic, partition, offset in positions:
            if (topic, partition) not in self._existing:
                continue
            seen = self._of((topic, partition))
            if not seen.scattered:
                seen.excused.add(offset)
                seen.limit()

    def is_before_last(self, position: Position) -> bool:
        """Return whether a later offset of the same source partition was fed."""
        topic, partition, offset = position
        seen = self._sources.get((topic, partition))
        return seen is not None and offset < seen.recorded.last

    def excused(self) -> int:
        """Return the number of offsets below the last recorded ones that need no link."""
        return sum(_known(seen).count() - seen.recorded.count() for seen in self._sources.values())

    def sources(self) -> list[Source]:
        """Return the source partitions of the links that Kafka has, sorted."""
        return sorted(self._sources)

    def finish(self, ends: Mapping[Source, int]) -> list[Finding]:
        """Return the gaps in the order of topics, partitions and offsets, and impossible positions.

        `ends` has the end of each source partition, read after the links: the offset after its
        last event. Offsets that Kafka never assigned are not gaps.
        """
        for source, seen in sorted(self._sources.items()):
            self._bound(seen, ends.get(source, 0))
        gaps = [one for source in sorted(self._sources) for one in self._found_in(source)]
        return gaps + self._impossible.all()

    def _bound(self, seen: _Seen, end: int) -> None:
        """Omit the offsets from the end on, and report the highest."""
        row = seen.highest
        if row is None or row.source_offset < end:
            return
        possible = seen.recorded.up_to(end)
        beyond = seen.recorded.count() - possible.count()
        place = f"{row.source_topic}/{row.source_partition}"
        detail = f"has offset {row.source_offset} of {place}, which ends at {end}"
        self._take_impossible(row, f"{detail} ({beyond} offsets beyond the end)")
        seen.recorded = possible

    def _take_impossible(self, row: AuditRow, detail: str) -> None:
        found = Finding(Kind.POSITION, row.chain, row.sequence, str(row.event_id), detail)
        self._impossible.take(found)

    def _of(self, source: Source) -> _Seen:
        seen = self._sources.get(source)
        if seen is None:
            seen = self._sources[source] = _Seen()
        return seen

    def _found_in(self, source: Source) -> list[Finding]:
        seen = self._sources[source]
        if seen.scattered:
            detail = f"the offsets of {source[0]}/{source[1]} have over {RANGES_MAX:,} gaps"
            return [Finding(Kind.GAP, ALL_CHAINS, 0, "", detail)]
        if not seen.before <= seen.first.keys():
            return []
        begin = max((seen.first[chain] for chain in seen.before), default=0)
        return [_gap(source, *gap) for gap in islice(_known(seen).gaps(begin), GAPS_MAX)]


def _known(seen: _Seen) -> Ranges:
    """Return the offsets that need no explanation, up to the last recorded one."""
    known = Ranges()
    known.update(seen.recorded)
    known.update(seen.excused.up_to(seen.recorded.last))
    return known


def _gap(source: Source, first: int, last: int) -> Finding:
    topic, partition = source
    offsets = f"offset {first}" if first == last else f"offsets {first} to {last}"
    detail = f"{offsets} of {topic}/{partition} not recorded"
    return Finding(Kind.GAP, ALL_CHAINS, 0, "", detail)
