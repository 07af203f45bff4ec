"""How many cores the machine's other work leaves free, from the kernel's own count of time.

Two cores that both compute hashes have no place for a process that wakes up: it waits behind
another one, and a transfer wakes about ten processes. So passwords take only free cores.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

COUNTS = Path("/proc/stat")
WINDOW_S = 1.0
"""How long a result is used before the counts are read again."""
_NICE, _IDLE, _IOWAIT = 1, 3, 4
"""Places in a line of the counts (proc_stat(5)). Hashes count as NICE: their process yields."""
_FIELDS = 8
"""User, nice, system, idle, iowait, irq, softirq, steal. Those after them are counted in user."""


class Spent(NamedTuple):
    """What all cores did since the start, in ticks of the kernel."""

    free: int
    """Nothing, or work that yields to other work, such as hashes."""
    all: int


def read(text: str) -> Spent:
    """Return the counts in the first line of /proc/stat, which is about all cores together."""
    ticks = [int(field) for field in text.split("\n", 1)[0].split()[1 : 1 + _FIELDS]]
    return Spent(ticks[_NICE] + ticks[_IDLE] + ticks[_IOWAIT], sum(ticks))


def hashes_at_once(before: Spent, now: Spent, cores: int, at_most: int) -> int:
    """Return how many hashes may run at once after the time between two counts: one for each free
    core, rounded, and at least one."""
    passed = now.all - before.all
    if passed <= 0:
        return at_most
    return max(1, min(at_most, round(cores * (now.free - before.free) / passed)))


@dataclass(slots=True)
class FreeCores:
    """Reads the counts again when they are older than WINDOW_S."""

    cores: int
    at_most: int
    _allowed: int = 0
    _before: Spent | None = None
    _read_at: float = 0.0

    def hashes_at_once(self) -> int:
        """Return how many hashes may run at once now, from 1 to `at_most`."""
        now = time.monotonic()
        if self._before is None or now - self._read_at >= WINDOW_S:
            counts = self._counts()
            before, self._before, self._read_at = self._before or counts, counts, now
            self._allowed = hashes_at_once(before, counts, self.cores, self.at_most)
        return self._allowed

    def _counts(self) -> Spent:
        """Return the counts now; the earlier ones if this process can open no more files."""
        try:
            return read(COUNTS.read_text())
        except OSError:
            return self._before or Spent(0, 0)
