"""A file of the bank is created with its final mode, regardless of the umask."""

import os
import socket
import stat
import sys
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from sandbox.stack.supervisor import private


def _write(path: Path) -> None:
    private.write(path, "secret")


def _append(path: Path) -> None:
    private.appending(path).close()


def _open(path: Path) -> None:
    with open(path, "w", opener=private.opener) as file:
        file.write("secret")


def _bind(path: Path) -> None:
    with closing(socket.socket(socket.AF_UNIX)) as listener:
        private.bind(listener, path)


MAKERS: dict[str, Callable[[Path], None]] = {
    "write": _write,
    "append": _append,
    "open": _open,
    "bind": _bind,
    "folder": private.folder,
}


@contextmanager
def _each_line(look: Callable[[], None]) -> Generator[None]:
    """Call `look` before each executed line of Python, including the standard library."""

    def trace(_frame: FrameType, _event: str, _argument: Any) -> Any:
        look()
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(before)


@pytest.mark.parametrize("maker", MAKERS)
def test_no_other_user_can_open_a_file_at_any_moment(tmp_path: Path, maker: str) -> None:
    place = str(tmp_path)
    seen: dict[str, int] = {}

    def look() -> None:
        for name in os.listdir(place):
            mode = stat.S_IMODE(os.lstat(f"{place}/{name}").st_mode)
            seen[name] = seen.get(name, 0) | mode

    umask = os.umask(0)
    try:
        with _each_line(look):
            MAKERS[maker](tmp_path / "made")
    finally:
        os.umask(umask)
    look()
    assert seen, "nothing was made"
    assert {name: oct(mode) for name, mode in seen.items() if mode & 0o077} == {}
