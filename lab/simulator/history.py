"""The record of a world: its trace, and the first invariant that broke."""

from datetime import timedelta

from lab.simulator.clock import DAY_S
from lab.simulator.loop import VirtualLoop


class History:
    """The lines of one world and its verdict."""

    def __init__(self, loop: VirtualLoop, *, tracing: bool) -> None:
        self._loop = loop
        self._tracing = tracing
        self.lines: list[str] = []
        self.broken: str | None = None
        """The broken rule and its facts; None while every invariant holds."""

    def note(self, text: str, *facts: object) -> None:
        """Add a line to the trace, if tracing is on."""
        if self._tracing:
            day, second = divmod(self._loop.now_s, DAY_S)
            at = timedelta(seconds=round(second, 3))
            self.lines.append(f"day {int(day)} {str(at)[:11]:>11}  " + text % facts)

    def fail(self, rule: str, *facts: object) -> None:
        """Record the first broken rule and end the run."""
        if self.broken is None:
            self.broken = f"{rule}: " + " ".join(str(fact) for fact in facts)
            self.note("VIOLATED %s", self.broken)
            self._loop.stop()
