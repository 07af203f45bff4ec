"""A configuration's folder: read as a whole, replaced file by file, refused if it cannot be one."""

import contextlib
import os
import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.pilot import config_folder
from mesh.pilot.config_folder import FolderRefused

TWO = {"mesh.yaml": b"a: 1\n", "partners/fraud.yaml": b"b: 2\n"}
_NOBODY = 65534
_BODIES = st.dictionaries(
    st.sampled_from(["a.yaml", "b.yaml", "partners/a.yaml", "partners/c.yaml"]),
    st.binary(max_size=20),
    min_size=1,
)


def test_a_folder_has_exactly_the_files_it_was_given(tmp_path: Path) -> None:
    """Files of the earlier configuration are removed; hidden files of an editor stay."""
    folder = tmp_path / "config"
    config_folder.replace(folder, TWO)
    (folder / ".mesh.yaml.swp").write_bytes(b"editor")
    config_folder.replace(folder, {"mesh.yaml": b"a: 2\n"})
    assert config_folder.read(folder) == {"mesh.yaml": b"a: 2\n"}
    assert (folder / ".mesh.yaml.swp").exists()


def test_an_unchanged_file_is_not_written_again(tmp_path: Path) -> None:
    """Otherwise each apply would wake every watcher."""
    config_folder.replace(tmp_path, TWO)
    before = (tmp_path / "mesh.yaml").stat().st_ino
    config_folder.replace(tmp_path, {**TWO, "partners/fraud.yaml": b"b: 3\n"})
    assert (tmp_path / "mesh.yaml").stat().st_ino == before


def test_files_belong_to_their_user_alone(tmp_path: Path) -> None:
    """The modes do not depend on the umask of the process."""
    old = os.umask(0)
    try:
        config_folder.replace(tmp_path / "config", TWO)
    finally:
        os.umask(old)
    modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "config").rglob("*.yaml")}
    assert modes == {0o600}
    assert (tmp_path / "config").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    "name",
    ["../out.yaml", "/etc/out.yaml", "a/../../out.yaml", "a//b.yaml", ".hidden.yaml", "a\0b"],
)
def test_a_path_outside_the_folder_is_refused(name: str) -> None:
    """The files come from a caller of the admin API."""
    with pytest.raises(FolderRefused, match="is not a path inside"):
        config_folder.checked({name: b""})


@pytest.mark.parametrize("name", ["no\udce9.yaml", "a\n.yaml", "a\x1b[2J/b.yaml", "a\u202e.yaml"])
def test_a_name_that_cannot_be_shown_is_refused(tmp_path: Path, name: str) -> None:
    """Such as one that is not UTF-8: neither JSON nor a digest can have it."""
    with pytest.raises(FolderRefused, match="cannot be shown") as raised:
        config_folder.checked({name: b""})
    assert str(raised.value).isprintable()
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).symlink_to("/etc/passwd")
    with pytest.raises(FolderRefused, match="cannot be shown") as raised:
        config_folder.read(tmp_path)
    assert str(raised.value).isprintable()


def test_a_folder_without_files_is_refused(tmp_path: Path) -> None:
    """Otherwise a mistyped folder would remove the whole configuration."""
    with pytest.raises(FolderRefused, match="no"):
        config_folder.read(tmp_path)


def test_a_folder_that_cannot_be_read_is_an_error() -> None:
    """Otherwise its files would count as removed, such as one with a policy that denies calls."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config_folder.write_new(folder / "config", TWO)
        for path in (folder, folder / "config", folder / "config" / "mesh.yaml"):
            path.chmod(0o755)
        (folder / "config" / "partners").chmod(0)
        with _no_root(), pytest.raises(PermissionError, match="partners"):
            config_folder.read(folder / "config")


@contextlib.contextmanager
def _no_root() -> Generator[None]:
    """Do without root's right to read everything."""
    before = os.geteuid()
    os.seteuid(before or _NOBODY)
    try:
        yield
    finally:
        os.seteuid(before)


def test_a_link_is_refused(tmp_path: Path) -> None:
    """A link could name a file outside, whose text would get into the history."""
    (tmp_path / "mesh.yaml").symlink_to("/etc/passwd")
    with pytest.raises(FolderRefused, match="not a regular file"):
        config_folder.read(tmp_path)


def test_a_file_beyond_the_limit_is_refused(tmp_path: Path) -> None:
    """The limit bounds the memory of the control plane."""
    (tmp_path / "mesh.yaml").write_bytes(b"#" * (config_folder.FILE_BYTES_MAX + 1))
    with pytest.raises(FolderRefused, match="bytes"):
        config_folder.read(tmp_path)


@given(_BODIES, _BODIES)
def test_only_equal_configurations_have_equal_digests(
    one: dict[str, bytes], other: dict[str, bytes]
) -> None:
    """The digest decides whether an edit is a new revision."""
    equal = config_folder.digest(one) == config_folder.digest(other)
    assert equal == (one == other)


@pytest.mark.parametrize("name", ["mesh.yaml~", "#mesh.yaml#", ".#mesh.yaml"])
def test_the_files_of_editors_are_no_part_of_it(tmp_path: Path, name: str) -> None:
    """Otherwise a backup would make a revision; neither does a replacement remove it."""
    config_folder.replace(tmp_path, TWO)
    (tmp_path / name).write_text("editor")
    assert config_folder.read(tmp_path) == TWO
    config_folder.replace(tmp_path, {"mesh.yaml": b"a: 2\n"})
    assert (tmp_path / name).exists()


def test_a_link_to_a_folder_is_refused_and_removed_by_a_replacement(tmp_path: Path) -> None:
    """Its files would be ignored otherwise."""
    outside = tmp_path / "outside"
    config_folder.replace(outside, TWO)
    folder = tmp_path / "config"
    config_folder.replace(folder, TWO)
    (folder / "more").symlink_to(outside)
    with pytest.raises(FolderRefused, match="is a link"):
        config_folder.read(folder)
    config_folder.replace(folder, TWO)
    assert config_folder.read(folder) == TWO
    assert config_folder.read(outside) == TWO


def test_a_file_may_replace_a_folder_and_a_folder_a_file(tmp_path: Path) -> None:
    """Two revisions may use one name for both."""
    for content in ({"a": b"1"}, {"a/b.yaml": b"2"}, {"a": b"3"}):
        config_folder.replace(tmp_path, content)
        assert config_folder.read(tmp_path) == content


def test_what_was_applied_has_the_limits_of_a_folder() -> None:
    """A later start reads the same files from the history."""
    for content in (
        {"mesh.yaml": b"#" * (config_folder.FILE_BYTES_MAX + 1)},
        {"a": b"1", "a/b.yaml": b"2"},
        {"n" * 201: b"1"},
        {"": b"1"},
    ):
        with pytest.raises(FolderRefused):
            config_folder.checked(content)
