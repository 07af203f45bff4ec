"""The stack's memory: proportional set size (PSS) of the supervisor and all its descendants.

PSS counts a page shared by n processes as 1/n for each, so the sum is the memory that is actually
used.
"""

from __future__ import annotations

import json
import os
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

from sandbox.stack.home import Home
from sandbox.stack.setup import SETUP_REPORT
from sandbox.stack.supervisor import control, private


def pss_kib(pid: int) -> int:
    """Return the PSS of one process; 0 when it has ended."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in text.splitlines() if line[:4] == "Pss:"), 0)


def descendants(root: int) -> list[int]:
    """Return `root` and every process below it."""
    children: dict[int, list[int]] = defaultdict(list)
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            parent = _parent(int(entry.name))
            children[parent].append(int(entry.name))
    found: list[int] = []
    pending = [root]
    while pending:
        pid = pending.pop()
        found.append(pid)
        pending.extend(children[pid])
    return found


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, IndexError):
        return -1


def write_report(home: Home, up_s: float | None) -> dict[str, Any]:
    """Add this `up` to BP_HOME/reports/stack.json: seconds of the start (`up_s` is None if the
    bank was already running) and memory in MiB by process."""
    file = home.reports / "stack.json"
    report: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    answer = control.ask(home.control_socket, cmd="status")
    by_process = {
        node["name"]: round(sum(map(pss_kib, descendants(node["pid"]))) / 1024, 1)
        for node in answer["nodes"]
        if node.get("pid")
    }
    by_process["supervisor"] = round(pss_kib(answer["pid"]) / 1024, 1)
    kind = "up_warm_s" if "up_first_s" in report else "up_first_s"
    if up_s is not None:
        report[kind] = round(up_s, 2)
    report["rss_mib"] = round(sum(by_process.values()), 1)
    report["rss_mib_by_process"] = by_process
    report["ready_after_s"] = {node["name"]: node["ready_after_s"] for node in answer["nodes"]}
    setup_file = Path(sys.prefix) / SETUP_REPORT
    if setup_file.exists():
        report["setup_s"] = json.loads(setup_file.read_text())["setup_s"]
    private.write(file, json.dumps(report, indent=1) + "\n")
    return report
