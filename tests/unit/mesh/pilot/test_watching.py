"""A change of a file is noticed: at once by inotify, later without it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mesh.pilot import watching
from mesh.pilot.watching import changes
from ops.waiting import scaled_s


async def _next(found: AsyncIterator[None]) -> None:
    """Wait for the next signal."""
    await asyncio.wait_for(anext(found), scaled_s(30))


async def _calm(found: AsyncIterator[None]) -> None:
    """Take the yields of the start."""
    await anext(found)
    await anext(found)


@pytest.mark.parametrize("inner", ["", "partners"])
async def test_a_change_in_the_folder_or_below_is_noticed(tmp_path: Path, inner: str) -> None:
    """A file that is written, and one that is replaced by a rename."""
    folder = tmp_path / inner
    folder.mkdir(exist_ok=True)
    found = changes([tmp_path])
    await _calm(found)
    (folder / "a.yaml").write_text("1")
    await _next(found)
    (tmp_path / "draft").write_text("2")
    await _next(found)
    (tmp_path / "draft").rename(folder / "a.yaml")
    await _next(found)


async def test_a_new_folder_is_watched(tmp_path: Path) -> None:
    """Its creation is noticed, then the changes in it."""
    found = changes([tmp_path])
    await _calm(found)
    (tmp_path / "new").mkdir()
    await _next(found)
    (tmp_path / "new" / "a.yaml").write_text("1")
    await _next(found)


async def test_a_folder_that_is_created_or_replaced_is_watched(tmp_path: Path) -> None:
    """A new bank has no configuration yet, and a checkout may replace the whole folder."""
    folder = tmp_path / "config"
    found = changes([folder])
    await _calm(found)
    for _ in range(2):
        folder.mkdir()
        await _next(found)
        (folder / "a.yaml").write_text("1")
        await _next(found)
        (folder / "a.yaml").unlink()
        folder.rmdir()
        await _next(found)


async def test_without_inotify_the_folders_are_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other programs of the user may have all inotify instances."""

    def refused() -> None:
        raise OSError("too many instances")

    monkeypatch.setattr(watching, "Inotify", refused)
    monkeypatch.setattr(watching, "POLL_S", 0.01)
    found = changes([tmp_path])
    await anext(found)
    waiting = asyncio.ensure_future(anext(found))
    await asyncio.sleep(0.05)
    (tmp_path / "a.yaml").write_text("1")
    await asyncio.wait_for(waiting, scaled_s(30))


@pytest.mark.parametrize("recursive", [True, False])
async def test_without_inotify_a_change_before_the_first_comparison_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recursive: bool
) -> None:
    """The reader has read the folder after the first signal, and compiles for a while."""

    def refused() -> None:
        raise OSError("too many instances")

    monkeypatch.setattr(watching, "Inotify", refused)
    monkeypatch.setattr(watching, "POLL_S", 0.01)
    found = changes([tmp_path], recursive=recursive)
    await anext(found)
    (tmp_path / "a.yaml").write_text("1")
    await _next(found)


async def test_without_inotify_only_the_asked_folders_are_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder of the addresses also has the history, with thousands of files."""
    (tmp_path / "history").mkdir()
    (tmp_path / "history" / "a.yaml").write_text("1")
    (tmp_path / "endpoints.json").write_text("1")
    seen = watching._seen((tmp_path,), recursive=False)
    assert [Path(each).name for each in seen] == ["endpoints.json"]
