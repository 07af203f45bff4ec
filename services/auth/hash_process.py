"""A process that computes one bcrypt hash at a time, with a lower priority than other processes.

It imports nothing but bcrypt, so it is small. Standard input has one order a line: `verify`, a
pre-hashed password and a stored hash, or `hash`, a pre-hashed password and a cost; both texts in
hexadecimal digits. Each order gets one line: `1`, `0`, the new hash, or `error` for a stored hash
that bcrypt cannot read. The process ends when its input ends, so it never outlives auth.
"""

import os
import sys
import time
from contextlib import suppress
from pathlib import Path

import bcrypt

NICENESS = 5
"""Linux gives it a third of a normal process's share of a busy core. With less, logins reach their
deadline while other work keeps all cores busy."""
_SESSION_NICENESS = Path("/proc/self/autogroup")
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
    if os.getsid(0) == os.getpid() and _SESSION_NICENESS.exists():
        with suppress(OSError):
            _set_niceness_of_session()
    # A process without privileges can only become nicer.
    niceness = max(os.getpriority(os.PRIO_PROCESS, 0), NICENESS)
    os.setpriority(os.PRIO_PROCESS, 0, niceness)


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
