"""Finds links whose offset in `audit-logs` is not above that of the link before them. Pure.

The service records each partition in the order of its offsets, and the first of repeated events. So
the offsets of a chain only rise, with two exceptions: the topic was made again and its offsets
start at 0, which is one finding for each chain, or a link was appended that was never an event.
Its offset may be so old that the topic no longer holds the events to compare it with.
"""

from dataclasses import dataclass

from services.audit.chain import AuditRow
from services.audit.verify import Finding, Findings, Kind

RUNS_MAX = 1000
"""The largest number of runs of old offsets that are not yet at their end."""


@dataclass(slots=True)
class _Run:
    """Links that follow a link with a higher offset."""

    first: AuditRow
    last: AuditRow
    before: AuditRow
    """The link with the higher offset; the run ends at a link with a still higher one."""


class OffsetsCheck:
    """Takes the links of one chain in order; `finish` returns the runs of links with old offsets.

    A run within a run is reported separately, so a link is found after a rebuild of the topic too.
    """

    def __init__(self, chain: int) -> None:
        self._findings = Findings(chain)
        self._runs: list[_Run] = []
        self._before: AuditRow | None = None

    def feed(self, row: AuditRow) -> None:
        """Take the next link."""
        before = self._before
        while self._runs and row.log_offset > self._runs[-1].before.log_offset:
            self._report(self._runs.pop())
        if before is not None and row.log_offset <= before.log_offset and not self._is_full():
            self._runs.append(_Run(row, row, before))
        for run in self._runs[-1:]:
            run.last = row
        self._before = row

    def finish(self) -> list[Finding]:
        """Return the findings in the order in which the runs end, the inner before the outer."""
        while self._runs:
            self._report(self._runs.pop())
        return self._findings.all()

    def _is_full(self) -> bool:
        return len(self._runs) >= RUNS_MAX

    def _report(self, run: _Run) -> None:
        first, last, before = run.first, run.last, run.before
        if self._runs:
            self._runs[-1].last = last
        links = f"link {first.sequence} has"
        if first is not last:
            links = f"links {first.sequence} to {last.sequence} begin at"
        detail = (
            f"{links} offset {first.log_offset} of the topic,"
            f" after offset {before.log_offset} of link {before.sequence}"
        )
        self._findings.add(Kind.OFFSET, first.sequence, str(first.event_id), detail)
