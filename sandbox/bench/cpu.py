"""CPU seconds by part of the bank, from /proc: what a process and its children have used.

Children that ended and were waited for are in their parent's sums, so PostgreSQL's backends are
all in, those that are gone too.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_TICKS_S = os.sysconf("SC_CLK_TCK")
_OUTSIDE = ("partner-",)
"""Parts that are not the bank's: the outside world of the sandbox."""


@dataclass(frozen=True, slots=True)
class _Process:
    parent: int
    ticks: int


def snapshot(pids: Mapping[str, int]) -> dict[str, float]:
    """Return the seconds that each part has used since its start."""
    processes, children = _processes()
    owned = set(pids.values())
    return {name: _tree(pid, processes, children, owned) for name, pid in pids.items()}


def between(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """Return what each part used between two snapshots, most first."""
    used = {name: after[name] - before[name] for name in before if name in after}
    return dict(sorted(used.items(), key=lambda item: -item[1]))


def of_the_bank(used: Mapping[str, float]) -> float:
    """Return the sum without the outside world."""
    return sum(seconds for name, seconds in used.items() if not name.startswith(_OUTSIDE))


def _processes() -> tuple[dict[int, _Process], dict[int, list[int]]]:
    found: dict[int, _Process] = {}
    children: dict[int, list[int]] = defaultdict(list)
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        try:
            fields = Path(f"/proc/{entry.name}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it ended meanwhile
        process = _Process(int(fields[1]), sum(map(int, fields[11:15])))
        found[int(entry.name)] = process
        children[process.parent].append(int(entry.name))
    return found, children


def _tree(
    root: int, processes: Mapping[int, _Process], children: Mapping[int, list[int]], owned: set[int]
) -> float:
    """Sum a process and its children, but those that are parts of their own."""
    ticks, waiting = 0, [root]
    while waiting:
        pid = waiting.pop()
        if pid in processes:
            ticks += processes[pid].ticks
        waiting += [child for child in children.get(pid, ()) if child not in owned]
    return ticks / _TICKS_S
