"""Bytes and memory by part of the bank, from /proc, and the size of Kafka's logs.

Memory is the proportional set size, in which a page that n processes share counts 1/n for each:
the sum is what the machine gives.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from sandbox.stack.memory import pss_kib

_WRITTEN = "write_bytes: "


def written(trees: Mapping[str, Sequence[int]]) -> dict[str, int]:
    """Return the bytes that each part has sent towards the disk so far."""
    return {name: sum(map(_write_bytes, pids)) for name, pids in trees.items()}


def memory_mib(trees: Mapping[str, Sequence[int]]) -> dict[str, float]:
    """Return the memory of each part."""
    return {name: round(sum(map(pss_kib, pids)) / 1024, 1) for name, pids in trees.items()}


def folder_bytes(folder: Path, suffix: str = "") -> int:
    """Return the size of all files below a folder, or of those whose name ends so."""
    total = 0
    for path, _, names in os.walk(folder):
        for name in names:
            if name.endswith(suffix):
                try:
                    total += os.stat(os.path.join(path, name)).st_size
                except OSError:
                    continue  # it was deleted meanwhile
    return total


def topic_bytes(kafka_data: Path) -> dict[str, int]:
    """Return the bytes of each topic's log, all partitions together."""
    sizes: dict[str, int] = {}
    for folder in kafka_data.rglob("*-[0-9]*"):
        topic, _, partition = folder.name.rpartition("-")
        if folder.is_dir() and partition.isdigit():
            sizes[topic] = sizes.get(topic, 0) + folder_bytes(folder, ".log")
    return sizes


def _write_bytes(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/io").read_text()
    except OSError:
        return 0  # it ended, or belongs to another user
    return next(
        (int(line[len(_WRITTEN) :]) for line in text.splitlines() if line.startswith(_WRITTEN)), 0
    )
