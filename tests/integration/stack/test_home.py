"""Paths, ports, logs and the setup script on any machine."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox.stack.home import REPO, Home
from sandbox.stack.ports import Ports
from sandbox.stack.supervisor import launch, logfiles

UNIX_PATH_BYTES_MAX = 100


@pytest.mark.parametrize("depth", [1, 12])
def test_socket_paths_stay_short_however_deep_the_home_is(tmp_path: Path, depth: int) -> None:
    home = Home(tmp_path.joinpath(*["deep-folder"] * depth))
    home.create()
    assert len(str(home.run / "notifications" / "admin.sock")) < UNIX_PATH_BYTES_MAX
    assert (home.root / "run").resolve() == home.run.resolve()
    home.remove_run()
    assert not home.run.exists() or home.run.parent == home.root


def test_a_port_is_kept_over_restarts_while_it_is_free(tmp_path: Path) -> None:
    file = tmp_path / "ports.json"
    first = Ports(file).get("app")
    assert Ports(file).get("app") == first
    with socket.create_server(("127.0.0.1", first)):
        assert Ports(file).get("app") != first


def test_no_two_parts_get_the_same_port(tmp_path: Path) -> None:
    ports = Ports(tmp_path / "ports.json")
    chosen = [ports.get(name) for name in "abcdefgh"]
    assert len(set(chosen)) == len(chosen)


def test_a_long_log_is_truncated_in_place_and_the_writer_continues(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logfiles, "LOG_BYTES_MAX", 10)
    file = tmp_path / "app.log"
    with file.open("ab", buffering=0) as writer:
        writer.write(b"a long line of log\n")
        logfiles.bound_all(tmp_path)
        writer.write(b"next\n")
    assert file.read_bytes() == b"next\n"
    assert file.with_suffix(".log.1").read_bytes() == b"a long line of log\n"


def test_setup_names_the_missing_programs_with_one_line_to_install_them(tmp_path: Path) -> None:
    script = tmp_path / "sandbox" / "stack" / "setup.py"
    (script.parent / "kafka").mkdir(parents=True)
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements" / "run.txt").write_text("")
    (script.parent / "kafka" / "pom.xml").write_text("")
    script.write_text((REPO / "sandbox" / "stack" / "setup.py").read_text())
    done = subprocess.run(
        [sys.executable, str(script), "run"],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "Java 17 or newer, Maven, make" in done.stderr
    assert "Install with:" in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root starts PostgreSQL as another user")
def test_a_home_that_exists_lets_the_user_of_postgresql_pass_through(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    home = Home(tmp_path)
    home.create()
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o711
    home.remove_run()


def test_make_alone_prints_the_targets() -> None:
    done = subprocess.run(["make"], cwd=REPO, capture_output=True, text=True, check=True)
    for target in ("demo", "test", "up", "down", "status", "bench", "check", "gen", "golden"):
        assert f"make {target}" in done.stdout
    assert os.access(REPO / "bpctl", os.X_OK)


def test_a_user_without_inotify_instances_gets_the_remedy() -> None:
    launch.require_inotify(1)
    # The child lowers its own limit of open files, so other processes are not affected.
    code = (
        "import resource; from sandbox.stack.supervisor import launch;"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (16, 16)); launch.require_inotify(64)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPO, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "sudo sysctl fs.inotify.max_user_instances" in done.stderr


@pytest.mark.parametrize("name", ["", "conf", "data", "secrets", "mesh"])
def test_a_folder_that_is_a_link_is_refused(tmp_path: Path, name: str) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    home = Home(tmp_path / "home")
    if name:
        home.root.mkdir()
    (home.root / name if name else home.root).symlink_to(elsewhere)
    with pytest.raises(PermissionError, match=r"is a link; remove it or move BP_HOME"):
        home.create()
    assert list(elsewhere.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to another user")
@pytest.mark.parametrize("name", ["", "conf", "data", "secrets", "mesh"])
def test_a_folder_of_another_user_is_refused(tmp_path: Path, name: str) -> None:
    home = Home(tmp_path / "home")
    folder = home.root / name
    folder.mkdir(parents=True)
    os.chown(folder, 64_999, 64_999)
    with pytest.raises(PermissionError, match="belongs to another user"):
        home.create()
    assert not (home.secrets.exists() and list(home.secrets.iterdir()))
