"""A process that computes one bcrypt hash at a time, with a lower priority than other processes.

It imports little but bcrypt, so it is small. Standard input has one order a line: `verify`, a
pre-hashed password and a stored hash, or `hash`, a pre-hashed password and a cost; both texts in
hexadecimal digits. Each order gets one line: `1`, `0`, the new hash, or `error` for a stored hash
that bcrypt cannot read. The process ends when its input ends, so it never outlives auth.
"""

import ctypes
import os
import struct
import sys
import time
from contextlib import suppress
from pathlib import Path

import bcrypt

NICENESS = 5
"""Linux gives it a third of a normal process's share of a busy core. With less, logins reach their
deadline while other work keeps all cores busy."""
SLICE_S = 0.1
"""The longest time slice of Linux. A process with a shorter one that wakes up preempts this one at
once, and otherwise at the next tick of the clock, up to 4 ms later at each step of a transfer."""
_GROUPING = Path("/proc/sys/kernel/sched_autogroup_enabled")
_SESSION_NICENESS = Path("/proc/self/autogroup")
_OWN_CGROUPS = Path("/proc/self/cgroup")
_CGROUPS = Path("/sys/fs/cgroup")
_SCHED_SETATTR = {"x86_64": 314, "aarch64": 274}
"""Number of the system call, which the C library of many systems does not have."""
_SCHED_ATTR = "=IIQiIQQQ"
"""struct sched_attr: size, policy, flags, niceness, priority, runtime, deadline, period. For a
normal process the runtime is its slice in nanoseconds; a kernel before 6.12 ignores it."""
_TRIES_MAX = 50
_RETRY_S = 0.1
"""Linux lets processes without privileges change a session's niceness ten times a second, all
together."""


def main() -> None:
    """Answer orders until the input ends."""
    yield_to_others()
    for line in sys.stdin.buffer:
        sys.stdout.buffer.write(_answer(*line.split(b" ")) + b"\n")
        sys.stdout.buffer.flush()


def yield_to_others() -> None:
    """Lower the priority of this process below that of other processes.

    Where Linux groups processes by session, a niceness counts inside the session only, and the
    session has one of its own. The process works without it too, so no failure stops it.
    """
    is_grouped = _is_grouped()
    if is_grouped:
        with suppress(OSError):
            _set_niceness_of_session()
    # A process without privileges can only become nicer.
    niceness = max(os.getpriority(os.PRIO_PROCESS, 0), NICENESS)
    os.setpriority(os.PRIO_PROCESS, 0, niceness)
    _set_slice(niceness)
    if is_grouped:
        # Linux takes a core that runs only this process for a free one when it places a process
        # that wakes up. In a group of its own, the policy does not reduce its share of a core.
        with suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def _is_grouped() -> bool:
    """Return whether this process is a scheduling group of its own."""
    is_on = _GROUPING.exists() and _GROUPING.read_text().strip() == "1"
    is_leader = _SESSION_NICENESS.exists() and os.getsid(0) == os.getpid()
    return is_on and is_leader and is_grouped_by_session(_OWN_CGROUPS.read_text(), _CGROUPS)


def is_grouped_by_session(own: str, mounted: Path) -> bool:
    """Return whether Linux groups this process by session: only in the root cgroup of the CPU
    controller (sched(7)), so neither in a container nor in a service of systemd.

    `own` is the text of /proc/self/cgroup, `mounted` the folder of the cgroups. A container sees
    its own cgroup as "/", so a file that only the root has decides, or one that only it lacks.
    """
    lines = [line.split(":", 2) for line in own.splitlines()]
    of_cpu = [line for line in lines if "cpu" in line[1].split(",")]
    if of_cpu:  # version 1
        _, controllers, path = of_cpu[0]
        folders = (mounted / name for name in ("cpu", controllers))
        return path == "/" and any((each / "release_agent").exists() for each in folders)
    is_root = ["0", "", "/"] in lines and (mounted / "cgroup.controllers").exists()
    return is_root and not (mounted / "cgroup.type").exists()


def _set_slice(niceness: int) -> None:
    """Ask for SLICE_S. Without it the process works, and others wait longer for it."""
    if number := _SCHED_SETATTR.get(os.uname().machine):
        size, slice_ns = struct.calcsize(_SCHED_ATTR), int(SLICE_S * 1e9)
        wanted = struct.pack(_SCHED_ATTR, size, os.SCHED_OTHER, 0, niceness, 0, slice_ns, 0, 0)
        ctypes.CDLL(None).syscall(number, 0, wanted, 0)


def _set_niceness_of_session() -> None:
    for _ in range(_TRIES_MAX):
        with suppress(BlockingIOError):
            _SESSION_NICENESS.write_text(str(NICENESS))
            return
        time.sleep(_RETRY_S)


def _answer(verb: bytes, prehashed_hex: bytes, last: bytes) -> bytes:
    prehashed = bytes.fromhex(prehashed_hex.decode())
    if verb == b"hash":
        return bcrypt.hashpw(prehashed, bcrypt.gensalt(int(last)))
    try:
        return b"%d" % bcrypt.checkpw(prehashed, bytes.fromhex(last.decode()))
    except ValueError:
        return b"error"


if __name__ == "__main__":
    main()
