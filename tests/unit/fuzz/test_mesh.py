"""The connections of the fuzzer leave no files behind."""

import tempfile
from pathlib import Path

import pytest

from lab.fuzz.mesh import Mesh
from sandbox.stack.home import Home
from sandbox.stack.testing import RunningStack


def test_close_removes_the_folder_of_the_sockets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    mesh = Mesh(RunningStack(Home(tmp_path / "home")))
    assert [path.name[:4] for path in tmp_path.iterdir()] == ["bpf-"]
    mesh.close()
    assert not list(tmp_path.iterdir())
