"""Auth's side of hash_process.py: starts the process, sends an order, waits for its answer.

A thread of the pool owns each process and blocks while it works; the interpreter's lock is free.
"""

import subprocess
import sys

from services.kernel.errors import DependencyUnavailable

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
        """Return the answer to an order.

        If the process has ended, a new one is started for the next order, and this order raises
        DependencyUnavailable.
        """
        try:
            answer = self._exchange(b" ".join((verb, prehashed.hex().encode(), last)) + b"\n")
        except BrokenPipeError:
            answer = b""
        if not answer:
            self._process.kill()
            self._process.communicate()
            self._process = _started()
            raise DependencyUnavailable
        return answer.rstrip(b"\n")

    def _exchange(self, order: bytes) -> bytes:
        to_process, from_process = self._process.stdin, self._process.stdout
        if to_process is None or from_process is None:
            raise BrokenPipeError
        to_process.write(order)
        to_process.flush()
        return from_process.readline()


def _started() -> subprocess.Popen[bytes]:
    # In a separate session, its niceness counts by itself (hash_process.py).
    return subprocess.Popen(
        _COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    )
