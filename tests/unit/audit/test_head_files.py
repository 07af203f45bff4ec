"""Files of signed heads: a reader finds what it needs, no matter what the files contain."""

import fcntl
import tracemalloc
from pathlib import Path

import pytest

from services.audit import head_files
from services.audit.head_files import LOCK, SUFFIX, HeadFiles
from services.audit.heads import LINE_BYTES_MAX
from tests.unit.audit.test_heads import NOW, YEAR, head_of, rows, signed_after, statements

FILLED_BYTES = 20_000_000
READ_BYTES_MAX = 2_000_000


def test_the_last_statement_is_read_from_the_end_of_a_large_file(tmp_path: Path) -> None:
    (one,) = statements(head_of(rows(1)[0]))
    files = HeadFiles(tmp_path)
    files.append(one)
    (file,) = tmp_path.glob(f"*{SUFFIX}")
    file.write_bytes((one.line + b"\n") * (FILLED_BYTES // len(one.line)))
    tracemalloc.start()
    try:
        assert files.last() == one
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < READ_BYTES_MAX


def test_the_last_statement_is_found_before_lines_that_are_none(tmp_path: Path) -> None:
    (one,) = statements(head_of(rows(1)[0]))
    files = HeadFiles(tmp_path)
    files.append(one)
    (file,) = tmp_path.glob(f"*{SUFFIX}")
    for bad in (b"\n", b"half a line", b"\n" + b"x" * 5 * LINE_BYTES_MAX, b"\n" * 100_000):
        with file.open("ab") as out:
            out.write(bad)
        assert files.last() == one


def test_statements_stay_in_order_after_a_clock_was_ahead(tmp_path: Path) -> None:
    head = head_of(rows(1)[0])
    ahead = signed_after(None, head, NOW + YEAR)
    after = signed_after(ahead, head, NOW)
    files = HeadFiles(tmp_path)
    for one in (ahead, after):
        files.append(one)
    assert list(files.statements()) == [ahead, after]
    assert files.last() == after


def test_the_end_of_a_line_that_is_too_long_is_no_statement(tmp_path: Path) -> None:
    first, second = statements(*(head_of(row) for row in rows(2)))
    files = HeadFiles(tmp_path)
    files.append(first)
    (file,) = tmp_path.glob(f"*{SUFFIX}")
    with file.open("ab") as out:
        out.write(b"x" * LINE_BYTES_MAX + first.line + b"\n")
    files.append(second)
    assert list(files.statements()) == [first, second]


@pytest.mark.timeout(5)
def test_a_lock_that_another_process_keeps_is_waited_for_only_so_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Previously, the signer waited forever and kept the signing lock meanwhile."""
    monkeypatch.setattr(head_files, "LOCK_WAIT_S", 0.1)
    (one,) = statements(head_of(rows(1)[0]))
    files = HeadFiles(tmp_path)
    with (tmp_path / LOCK).open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(TimeoutError):
            files.append(one)
    assert files.append(one)
    assert list(files.statements()) == [one]
