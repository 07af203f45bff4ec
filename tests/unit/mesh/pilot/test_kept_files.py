"""A damaged file of the control plane loses nothing silently, whatever is in it."""

import json
import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.pilot.drained import Drained
from mesh.pilot.expiring import Added, Expiring, Expiry
from mesh.pilot.kept_file import BYTES_MAX

FAULT = Expiry("inject-fraud", 200.0, "ana", "drill", (Added("mesh.yaml", "fault: x\n"),))
WHOLE = json.dumps([asdict(FAULT)])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=9,
)


def expiring(folder: Path, content: bytes) -> Expiring:
    """Return what expires, from a file with this content."""
    (folder / "expiring.json").write_bytes(content)
    return Expiring(folder / "expiring.json")


def damaged(folder: Path) -> list[bytes]:
    """Return the contents that were set aside."""
    return [each.read_bytes() for each in sorted(folder.glob("*.damaged-*"))]


@pytest.mark.parametrize(
    "content",
    [
        *(WHOLE.encode()[:cut] for cut in (0, 1, 20, len(WHOLE) - 1)),
        *(b"{}", b"null", b"7", b'"text"', b"\xff\xfe", b"[" * 100_000, b"[[1]]", b"[null]"),
        b'[{"name": "a", "until_s": NaN, "who": "", "why": "", "added": []}]',
        WHOLE.replace("fault", "\\ud800").encode(),
        WHOLE.replace("200.0", '"soon"').encode(),
        WHOLE.replace('"mesh.yaml"', "7").encode(),
    ],
)
def test_an_unreadable_file_is_set_aside_and_named(tmp_path: Path, content: bytes) -> None:
    """The next fault can be added; the status names the file until an SRE removes it."""
    found = expiring(tmp_path, content)
    assert found.all() == []
    assert damaged(tmp_path) == [content]
    found.add(FAULT)
    assert found.all() == [FAULT]
    (report,) = found.reports()
    assert "expiring.json was damaged" in report
    next(tmp_path.glob("*.damaged-*")).unlink()
    assert found.reports() == []


def test_entries_that_would_make_the_file_too_large_are_refused(tmp_path: Path) -> None:
    """The next read would set the file aside, and every fault of others would stay in force."""
    found = expiring(tmp_path, WHOLE.encode())
    large = replace(FAULT, name="large", added=(Added("mesh.yaml", "x" * BYTES_MAX),))
    with pytest.raises(ValueError, match="more than"):
        found.add(large)
    assert (found.all(), damaged(tmp_path)) == ([FAULT], [])


def test_the_entries_that_can_be_read_stay(tmp_path: Path) -> None:
    """Such as the fault that no SRE has edited; the whole file is set aside."""
    content = json.dumps([asdict(FAULT), {**asdict(FAULT), "until_s": None}]).encode()
    found = expiring(tmp_path, content)
    assert found.all() == [FAULT]
    assert damaged(tmp_path) == [content]
    assert found.all() == [FAULT]
    assert len(found.reports()) == 1


@given(st.lists(JSON, max_size=4) | JSON)
def test_no_json_ends_a_reader(tmp_path_factory: pytest.TempPathFactory, content: Any) -> None:
    folder = tmp_path_factory.mktemp("mesh")
    text = json.dumps(content).encode()
    assert expiring(folder, text).all() == []
    assert damaged(folder) == ([] if content == [] else [text])
    (folder / "drained.json").write_bytes(text)
    for name, forced in Drained(folder / "drained.json").marks().items():
        assert content[name] is forced


def test_what_is_not_a_file_is_set_aside(tmp_path: Path) -> None:
    """A folder, or a pipe that nobody writes."""
    for make in (Path.mkdir, os.mkfifo):
        make(tmp_path / "drained.json")
        drained = Drained(tmp_path / "drained.json")
        assert drained.marks() == {}
        drained.mark("customers-1", forced=False)
        assert drained.marks() == {"customers-1": False}
        (tmp_path / "drained.json").unlink()
    assert len(drained.reports()) == 2


def test_the_drained_instances_that_can_be_read_stay_drained(tmp_path: Path) -> None:
    """The word "no" once counted as true: it made a drain a forced one."""
    file = tmp_path / "drained.json"
    file.write_text('{"customers-1": false, "payments-1": "no"}')
    assert Drained(file).marks() == {"customers-1": False}
    assert json.loads(file.read_text()) == {"customers-1": False}
    assert len(Drained(file).reports()) == 1


def test_a_file_that_cannot_be_read_now_is_not_set_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process has too many open files, for example. What was read before stays."""
    found = expiring(tmp_path, WHOLE.encode())
    assert found.all() == [FAULT]

    def full(_: Path) -> bytes:
        raise OSError("too many open files")

    monkeypatch.setattr("mesh.pilot.kept_file._bytes", full)
    assert found.all() == [FAULT]
    assert damaged(tmp_path) == []
