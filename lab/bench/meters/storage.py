"""Memory by part of the bank, from /proc, and the size of Kafka's logs.

Memory is the proportional set size: a page that n processes share counts 1/n for each, so the sum
is the memory in use. Bytes written are not read from /proc: for a file in large folios, the kernel
counts a whole folio for each page.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from sandbox.stack.memory import pss_kib


def memory_mib(trees: Mapping[str, Sequence[int]]) -> dict[str, float]:
    """Return the memory of each part."""
    return {name: round(sum(map(pss_kib, pids)) / 1024, 1) for name, pids in trees.items()}


def folder_bytes(folder: Path, suffix: str = "") -> int:
    """Return the size of all files below a folder whose name ends with `suffix`."""
    total = 0
    for path, _, names in os.walk(folder):
        for name in names:
            if name.endswith(suffix):
                try:
                    total += os.stat(os.path.join(path, name)).st_size
                except OSError:
                    continue  # the file was deleted after the listing
    return total


def topic_bytes(kafka_data: Path) -> dict[str, int]:
    """Return the bytes of each topic's log, summed over its partitions."""
    sizes: dict[str, int] = {}
    for folder in kafka_data.rglob("*-[0-9]*"):
        topic, _, partition = folder.name.rpartition("-")
        if folder.is_dir() and partition.isdigit():
            sizes[topic] = sizes.get(topic, 0) + folder_bytes(folder, ".log")
    return sizes
