"""CPU seconds by part of the bank, from /proc: the time that a process and its children have used.

When a process waits for an ended child, the kernel adds the child's time to the parent's sums.
Therefore all PostgreSQL backends count, including those that have ended.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_TICKS_S = os.sysconf("SC_CLK_TCK")
_OUTSIDE = ("partner-",)
"""Prefixes of the parts that belong to the sandbox's outside world and not to the bank."""


@dataclass(frozen=True, slots=True)
class _Process:
    parent: int
    ticks: int


def snapshot(pids: Mapping[str, int]) -> dict[str, float]:
    """Return the CPU seconds that each part has used since its start."""
    processes, children = _processes()
    ticks = {pid: process.ticks for pid, process in processes.items()}
    return {
        name: sum(ticks.get(pid, 0) for pid in tree) / _TICKS_S
        for name, tree in _trees(pids, children).items()
    }


def trees(pids: Mapping[str, int]) -> dict[str, list[int]]:
    """Return the processes of each part, with its children but without the processes of other
    parts."""
    return _trees(pids, _processes()[1])


def between(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """Return the CPU that each part used between two snapshots, largest first."""
    used = {name: after[name] - before[name] for name in before if name in after}
    return dict(sorted(used.items(), key=lambda item: -item[1]))


def of_the_bank(used: Mapping[str, float]) -> float:
    """Return the sum over the bank's parts, without the outside world."""
    return sum(seconds for name, seconds in used.items() if not is_outside(name))


@dataclass(frozen=True, slots=True)
class Machine:
    """CPU seconds of all cores since the machine started."""

    busy_s: float
    """Busy with any process or with the kernel."""
    stolen_s: float
    """Ready to run while the host ran other machines."""

    @classmethod
    def now(cls) -> Machine:
        """Read /proc/stat."""
        return cls.of(Path("/proc/stat").read_text())

    @classmethod
    def of(cls, text: str) -> Machine:
        """Read the text of /proc/stat: user, nice, system, idle, iowait, irq, softirq, steal."""
        ticks = [int(field) for field in text.split("\n", 1)[0].split()[1:9]]
        user, nice, system, _idle, _wait, irq, soft, steal = ticks
        return cls((user + nice + system + irq + soft) / _TICKS_S, steal / _TICKS_S)


def own_s() -> float:
    """Return the CPU seconds of this process and of its ended children."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def process_s(pid: int) -> float:
    """Return the CPU seconds of one process, with its ended children."""
    return _process(Path(f"/proc/{pid}/stat").read_text()).ticks / _TICKS_S


def is_outside(part: str) -> bool:
    """Return whether a part belongs to the outside world and not to the bank."""
    return part.startswith(_OUTSIDE)


def _processes() -> tuple[dict[int, _Process], dict[int, list[int]]]:
    found: dict[int, _Process] = {}
    children: dict[int, list[int]] = defaultdict(list)
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        try:
            process = _process(Path(f"/proc/{entry.name}/stat").read_text())
        except OSError:
            continue  # it ended meanwhile
        found[int(entry.name)] = process
        children[process.parent].append(int(entry.name))
    return found, children


def _process(stat: str) -> _Process:
    fields = stat.rpartition(")")[2].split()
    return _Process(int(fields[1]), sum(map(int, fields[11:15])))


def _trees(pids: Mapping[str, int], children: Mapping[int, list[int]]) -> dict[str, list[int]]:
    owned = set(pids.values())
    found: dict[str, list[int]] = {}
    for name, root in pids.items():
        found[name], waiting = [], [root]
        while waiting:
            pid = waiting.pop()
            found[name].append(pid)
            waiting += [child for child in children.get(pid, ()) if child not in owned]
    return found
