"""Root starts PostgreSQL in folders that PostgreSQL's own user may change."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import tempfile
from collections.abc import Generator
from pathlib import Path

import asyncpg
import pytest

from sandbox.stack.home import Home
from sandbox.stack.parts import postgres_paths
from sandbox.stack.parts.postgres import Postgres
from sandbox.stack.supervisor import launch
from tests.rigs.stores import PostgresStore

SECRET = "a secret of root"

only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root starts it as another user")


@only_root
async def test_postgresql_below_a_closed_folder_has_no_capability(
    postgres: PostgresStore, part: Postgres
) -> None:
    """Regression: it kept one to enter closed folders, which let it read every file, or change it.

    The sessions' folder of the tests is closed to other users.
    """
    assert launch.is_closed(postgres.part.data)
    status = Path(f"/proc/{postgres.runner.pid}/status").read_text()
    held = {line.split(":")[0]: line.split()[1:] for line in status.splitlines()}
    assert held["Uid"] == [str(postgres.part.data.stat().st_uid)] * 4 != ["0"] * 4
    assert [int(held[f"Cap{kind}"][0], 16) for kind in ("Inh", "Prm", "Eff", "Amb")] == [0] * 4
    connection = await postgres.session("postgres", "postgres")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.fetchval("SELECT pg_read_file($1)", str(part.home.endpoints))
    await connection.close()


@only_root
async def test_the_copy_of_the_programs_is_changed_by_root_only_and_removed(part: Postgres) -> None:
    await part.prepare()
    await part.prepare()
    copied = [part.copy, *part.copy.rglob("*")]
    assert {path.stat().st_uid for path in copied} == {0}
    assert {stat.S_IMODE(path.stat().st_mode) for path in copied} == {0o755, 0o644}
    postgres_paths.remove_copy(part.home.programs)
    assert not part.copy.exists()


@only_root
async def test_a_new_supervisor_replaces_the_copy_that_a_killed_one_left(part: Postgres) -> None:
    await part.prepare()
    again = Postgres(part.home, part.port, part.password)
    await again.prepare()
    assert not part.copy.exists()
    assert part.home.programs.readlink() == again.copy != part.copy


@only_root
async def test_a_copy_that_lost_a_file_is_made_again(part: Postgres) -> None:
    """Programs that clean /tmp remove files that were not read for some days."""
    await part.prepare()
    lost = part.copy / postgres_paths.BIN / "../share/timezonesets/Default"
    mode, content = lost.stat().st_mode, lost.read_bytes()
    lost.unlink()
    await part.prepare()
    assert (lost.stat().st_mode, lost.read_bytes()) == (mode, content)


@only_root
async def test_a_copy_that_failed_halfway_is_removed_or_made_again(
    part: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    for ends in (True, False):
        with monkeypatch.context() as patch:
            patch.setattr(shutil, "copytree", full)
            with pytest.raises(OSError, match="No space left"):
                await part.prepare()
        assert part.copy.exists()
        if ends:
            postgres_paths.remove_copy(part.home.programs)
            assert not part.copy.exists()
    await part.prepare()
    assert (part.copy / postgres_paths.BIN / "../share").exists()


@only_root
def test_the_copy_is_in_no_folder_that_others_can_change(monkeypatch: pytest.MonkeyPatch) -> None:
    """Regression: another user could replace the copy in the folder that TMPDIR names."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o711)
        monkeypatch.setattr(tempfile, "tempdir", name)
        assert postgres_paths.copy_folder().parent == folder
        folder.chmod(0o777)
        assert postgres_paths.copy_folder().parent == Path("/tmp")


async def test_postgresql_takes_no_connections_over_tcp(postgres: PostgresStore) -> None:
    """Regression: users without a password took every connection, or took the port after a
    crash."""
    connection = await postgres.session("postgres", "postgres")
    assert await connection.fetchval("SHOW listen_addresses") == ""
    assert await connection.fetchval("SHOW authentication_timeout") == "10s"
    await connection.close()


@pytest.fixture
def part(tmp_path: Path) -> Generator[Postgres]:
    """A part whose cluster folder belongs to PostgreSQL's user, as after an earlier start."""
    home = Home(tmp_path / "home")
    home.create()
    part = Postgres(home, 5432, "a password")
    part.data.mkdir()
    (part.data / "PG_VERSION").touch()
    _give(part.data)
    yield part
    postgres_paths.remove_copy(home.programs)
    shutil.rmtree(part.copy, ignore_errors=True)  # of a test that failed
    home.remove_run()


def _give(path: Path) -> None:
    user = launch.unprivileged_user()
    if user is not None:
        os.chown(path, user.uid, user.gid)


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A file that only root may read."""
    file = tmp_path / "victim"
    file.write_text(SECRET)
    file.chmod(0o600)
    return file


@only_root
@pytest.mark.parametrize("name", ["x.conf", "postgresql.conf", ".postgresql.conf.draft"])
async def test_a_link_in_the_cluster_gives_no_file_away(
    part: Postgres, victim: Path, name: str
) -> None:
    (part.data / name).symlink_to(victim)
    await part.prepare()
    assert victim.stat().st_uid == 0
    assert victim.read_text() == SECRET
    for written in ("postgresql.conf", "pg_hba.conf"):
        found = (part.data / written).lstat()
        assert (found.st_uid, found.st_mode) == (part.data.stat().st_uid, stat.S_IFREG | 0o600)


async def test_a_pid_file_that_is_a_link_or_a_pipe_is_removed_unread(
    part: Postgres, victim: Path
) -> None:
    file = part.data / "postmaster.pid"
    file.symlink_to(victim)
    await part.prepare()
    assert not os.path.lexists(file)
    os.mkfifo(file)
    await part.prepare()
    assert not os.path.lexists(file)


async def test_the_lock_of_a_crashed_servers_socket_is_removed(part: Postgres) -> None:
    """PostgreSQL does not start if another process has the recorded pid."""
    part.sockets.mkdir()
    lock = part.sockets / f".s.PGSQL.{part.port}.lock"
    lock.write_text(f"{os.getpid()}\n")
    await part.prepare()
    assert not lock.exists()


@only_root
def test_folders_of_another_user_are_not_changed(part: Postgres) -> None:
    """That user could replace them by links to folders of root while root changes them."""
    other = part.data / "of-root"
    other.write_text("")
    other.chmod(0o644)
    part.home.create()
    assert stat.S_IMODE(other.stat().st_mode) == 0o644
