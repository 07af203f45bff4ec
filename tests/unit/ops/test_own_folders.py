"""A folder that another user can change is not used."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from ops import own_folders

only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
STRANGER = 64_999
"""A user id of no account."""


@pytest.mark.parametrize("mode", [0o700, 0o755, 0o1777])
def test_a_folder_for_temporary_files_is_used_if_others_can_replace_nothing_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int
) -> None:
    tmp_path.chmod(mode)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert own_folders.temporary() == tmp_path.resolve()


@pytest.mark.parametrize("below", ["", "inner"])
@pytest.mark.parametrize("mode", [0o777, 0o775])
def test_a_folder_for_temporary_files_that_others_can_change_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int, below: str
) -> None:
    """Regression: another user could replace the copy of PostgreSQL's programs in it."""
    (tmp_path / below).mkdir(exist_ok=True)
    tmp_path.chmod(mode)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / below))
    assert own_folders.temporary() == own_folders.FALLBACK


@only_root
@pytest.mark.parametrize("below", ["", "inner"])
def test_a_folder_for_temporary_files_below_another_users_folder_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, below: str
) -> None:
    (tmp_path / below).mkdir(exist_ok=True)
    os.chown(tmp_path, STRANGER, STRANGER)
    tmp_path.chmod(0o1755)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / below))
    assert own_folders.temporary() == own_folders.FALLBACK
