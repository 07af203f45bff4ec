"""Auth's side of hash_process.py: starts the process, sends an order, waits for its answer.

A thread of the pool owns each process and blocks while it works; the interpreter's lock is free.
"""

import subprocess
import sys

from services.kernel.errors import DependencyUnavailable

ATTEMPTS = 2
_COMMAND = (sys.executable, "-m", "services.auth.hash_process")


class Hasher:
    """One process. It belongs to one thread at a time."""

    def __init__(self) -> None:
        """Start the process."""
        self._process = _started()

    @property
    def pid(self) -> int:
        """The id of the running process."""
        return self._process.pid

    def verify(self, prehashed: bytes, stored: bytes) -> bool:
        """Return whether `stored` is the hash of `prehashed`; ValueError if it is no hash."""
        answer = self._ask(b"verify", prehashed, stored.hex().encode())
        if answer == b"error":
            raise ValueError("The stored hash is not one of bcrypt.")
        return answer == b"1"

    def hash(self, prehashed: bytes, cost: int) -> bytes:
        """Return a new hash."""
        return self._ask(b"hash", prehashed, str(cost).encode())

    def close(self) -> None:
        """End the process."""
        self._process.communicate()

    def _ask(self, verb: bytes, prehashed: bytes, last: bytes) -> bytes:
        """Return the answer to an order; raise DependencyUnavailable if two processes end on it.

        An order has no effect, so a new process gets the order of one that was killed.
        """
        order = b" ".join((verb, prehashed.hex().encode(), last)) + b"\n"
        for _ in range(ATTEMPTS):
            answer = self._exchange(order)
            if answer:
                return answer.rstrip(b"\n")
            self._process.kill()
            self._process.communicate()
            self._process = _started()
        raise DependencyUnavailable

    def _exchange(self, order: bytes) -> bytes:
        """Return the answer of the process; b"" if it has ended."""
        to_process, from_process = self._process.stdin, self._process.stdout
        if to_process is None or from_process is None:
            return b""
        try:
            to_process.write(order)
            to_process.flush()
            return from_process.readline()
        except BrokenPipeError:
            return b""


def _started() -> subprocess.Popen[bytes]:
    # In a separate session, its niceness counts by itself (hash_process.py).
    return subprocess.Popen(
        _COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    )
