"""Bugs of the stack that were seen once."""

import os
from pathlib import Path

import pytest

from sandbox.stack import launch


def test_a_link_inside_a_closed_folder_is_as_closed_as_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL did not start where .venv was a link in a folder that its user may not enter."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(launch, "_passable", lambda folder: folder.name != "closed")
    (tmp_path / "open").mkdir()
    (tmp_path / "closed").mkdir()
    (tmp_path / "closed" / "link").symlink_to(tmp_path / "open")
    user = launch.unprivileged_user([tmp_path / "closed" / "link" / "bin"])
    assert user is not None
    assert user.keep_access
