"""The processes that compute hashes: their priority, and what they do with each order."""

import ctypes
import os
import re
import signal
import struct
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import bcrypt
import pytest

from services.auth.hash_process import NICENESS, SLICE_S, is_grouped_by_session
from services.auth.hashers import Hasher
from services.auth.passwords import prehash
from services.kernel.errors import DependencyUnavailable

_GROUPING = Path("/proc/sys/kernel/sched_autogroup_enabled")
COST = 4
RIGHT = prehash(b"k" * 32, "right")


@pytest.fixture
def hasher() -> Generator[Hasher]:
    made = Hasher()
    yield made
    made.close()


def test_a_hash_process_has_a_lower_priority_in_a_session_of_its_own(hasher: Hasher):
    """Linux weighs sessions first, so a niceness inside auth's session would not help payments."""
    assert hasher.verify(RIGHT, bcrypt.hashpw(RIGHT, bcrypt.gensalt(COST)))
    before = os.getpriority(os.PRIO_PROCESS, 0)
    assert os.getpriority(os.PRIO_PROCESS, hasher.pid) == max(before, NICENESS)
    assert os.getsid(hasher.pid) == hasher.pid
    assert _slice_s(hasher.pid) == (SLICE_S if _keeps_slices() else 0)
    if _GROUPING.exists() and _GROUPING.read_text() == "1\n" and _is_in_the_root_cgroup():
        assert os.sched_getscheduler(hasher.pid) == os.SCHED_IDLE
        group = Path(f"/proc/{hasher.pid}/autogroup")
        assert group.read_text().endswith(f"nice {NICENESS}\n")
    else:
        assert os.sched_getscheduler(hasher.pid) == os.SCHED_OTHER


def _is_in_the_root_cgroup() -> bool:
    return is_grouped_by_session(Path("/proc/self/cgroup").read_text(), Path("/sys/fs/cgroup"))


@pytest.mark.parametrize(
    ("own", "files", "expected"),
    [
        ("2:cpu:/\n0::/\n", ["cpu/release_agent"], True),
        ("2:cpu,cpuacct:/\n", ["cpu,cpuacct/release_agent"], True),
        ("2:cpu:/\n0::/\n", ["cpu/cpu.shares"], False),
        ("2:cpu:/docker/5e1f\n", ["cpu/release_agent"], False),
        ("2:cpuset:/\n0::/\n", ["cgroup.controllers"], True),
        ("0::/\n", ["cgroup.controllers", "cgroup.type"], False),
        ("0::/system.slice/bank.service\n", ["cgroup.controllers"], False),
        ("0::/\n", [], False),
        ("", [], False),
    ],
    ids=[
        "the root of version 1",
        "two controllers in one folder",
        "a container's own root of version 1",
        "a container of version 1",
        "the root of version 2",
        "a container's own root of version 2",
        "a service of systemd",
        "unknown cgroups",
        "a kernel without cgroups",
    ],
)
def test_linux_groups_by_session_in_the_root_cgroup_only(
    tmp_path: Path, own: str, files: list[str], expected: bool
):
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert is_grouped_by_session(own, tmp_path) is expected


def test_a_hash_process_works_without_the_right_to_choose_its_policy():
    asked = """
import errno, os
from services.auth import hash_process
def refuse(*_): raise PermissionError(errno.EPERM, "not permitted")
os.sched_setscheduler = refuse
hash_process._is_grouped = lambda: True
hash_process.yield_to_others()
print(os.sched_getscheduler(0))
"""
    printed = subprocess.run((sys.executable, "-c", asked), capture_output=True, check=True).stdout
    assert printed == b"%d\n" % os.SCHED_OTHER


def test_a_hash_process_without_a_group_of_its_own_is_a_normal_one():
    """There, an idle process would get no time on a busy core."""
    asked = "import os; from services.auth.hash_process import *; yield_to_others(); print("
    asked += "os.sched_getscheduler(0), os.getpriority(os.PRIO_PROCESS, 0))"
    printed = subprocess.run((sys.executable, "-c", asked), capture_output=True, check=True).stdout
    niceness = max(os.getpriority(os.PRIO_PROCESS, 0), NICENESS)
    assert printed.split() == [b"%d" % os.SCHED_OTHER, b"%d" % niceness]


def _keeps_slices() -> bool:
    """Return whether Linux keeps a normal process's time slice; before 6.12 it ignores it."""
    major, minor = re.findall(r"\d+", os.uname().release)[:2]
    return (int(major), int(minor)) >= (6, 12)


def _slice_s(pid: int) -> float:
    """Return a process's time slice, which sched_getattr(2) calls its runtime."""
    attributes = ctypes.create_string_buffer(56)
    number = {"x86_64": 315, "aarch64": 275}[os.uname().machine]
    assert ctypes.CDLL(None).syscall(number, pid, attributes, len(attributes), 0) == 0
    return struct.unpack_from("=IIQiIQ", attributes.raw)[-1] / 1e9


def test_a_stored_value_that_is_no_hash_is_an_error_and_the_process_continues(hasher: Hasher):
    for stored in (b"", b"$argon2id$v=19$", b"$2b$04$short"):
        with pytest.raises(ValueError, match="not one of bcrypt"):
            hasher.verify(RIGHT, stored)
    assert hasher.verify(RIGHT, hasher.hash(RIGHT, COST))


def test_a_new_process_gets_the_order_of_a_killed_one(hasher: Hasher):
    stored, killed = hasher.hash(RIGHT, COST), hasher.pid
    os.kill(killed, signal.SIGKILL)
    assert hasher.verify(RIGHT, stored)
    assert hasher.pid != killed


def test_an_order_that_ends_two_processes_is_refused(hasher: Hasher):
    """bcrypt has no cost of 99, so the process ends with an error."""
    with pytest.raises(DependencyUnavailable):
        hasher.hash(RIGHT, 99)
    assert hasher.verify(RIGHT, hasher.hash(RIGHT, COST))
