"""Unit tests cover pure code: a test here that uses a socket fails."""

import sys
from collections.abc import Iterator

import pytest

BLOCKED = frozenset({"socket.connect", "socket.bind", "socket.getaddrinfo"})
_blocking = False


def _refuse(event: str, _: tuple[object, ...]) -> None:
    if _blocking and event in BLOCKED:
        raise AssertionError(f"a unit test may not call {event}")


sys.addaudithook(_refuse)


@pytest.fixture(autouse=True)
def sockets_blocked() -> Iterator[None]:
    """Refuse connections, listening and name look-ups while the test runs."""
    global _blocking
    _blocking = True
    yield
    _blocking = False
