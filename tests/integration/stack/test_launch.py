"""Child processes start from a threaded parent, run as their own user, and end with the parent."""

import asyncio
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import grpc
import pytest

from ops.waiting import scaled_s, until_true
from sandbox.stack.home import REPO
from sandbox.stack.supervisor import launch


def test_a_link_in_a_closed_folder_counts_as_inaccessible(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: PostgreSQL did not start if .venv was a link in a folder closed to its user."""
    monkeypatch.setattr(launch, "_passable", lambda folder: folder.name != "closed")
    (tmp_path / "open").mkdir()
    (tmp_path / "closed").mkdir()
    (tmp_path / "closed" / "link").symlink_to(tmp_path / "open")
    assert launch.is_closed(tmp_path / "closed" / "link" / "bin")
    assert not launch.is_closed(tmp_path / "open" / "bin")


async def test_children_start_while_grpc_works_in_this_process(tmp_path: Path) -> None:
    """Regression: one child in fifty aborted before its program began.

    Python code ran between fork and exec, so gRPC restarted its threads in the child. Then exec
    closed the files that these threads wait for.
    """
    server = grpc.aio.server()
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            await asyncio.wait_for(channel.channel_ready(), scaled_s(10))
            for number in range(100):
                await asyncio.gather(
                    *(
                        launch.run(
                            ("true",),
                            env=launch.child_environment({}),
                            log=tmp_path / f"{number}-{other}.log",
                        )
                        for other in range(3)
                    )
                )
    finally:
        await server.stop(None)


@pytest.mark.parametrize("death_signal", [signal.SIGKILL, signal.SIGTERM])
def test_a_child_ends_with_the_process_that_started_it(
    tmp_path: Path, death_signal: signal.Signals
) -> None:
    told = tmp_path / "child"
    child = f"trap 'echo TERM >> {told}; exit' TERM; echo $$ > {told}; sleep 3600 & wait"
    code = (
        "import signal, subprocess; from sandbox.stack.supervisor import launch;"
        f"command = launch.in_its_place(['sh', '-c', {child!r}], None, signal.{death_signal.name});"
        "subprocess.Popen(command).wait()"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=REPO, start_new_session=True)
    try:
        until_true(lambda: told.exists() and told.read_text().endswith("\n"), 10, "the child")
        pid = int(told.read_text())
        parent.kill()
        parent.wait()
        until_true(lambda: not Path(f"/proc/{pid}").exists(), 10, "the end of the child")
        assert told.read_text().split()[1:] == (["TERM"] if death_signal is signal.SIGTERM else [])
    finally:
        with suppress(ProcessLookupError):
            os.killpg(parent.pid, signal.SIGKILL)


@pytest.mark.parametrize("entry", ["", ".", "programs"])
async def test_no_program_of_the_working_folder_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, entry: str
) -> None:
    """Regression: with such an entry in PATH, root ran programs of another user's folder."""
    began, known = tmp_path / "began", os.environ["PATH"]
    folder = tmp_path / entry
    folder.mkdir(exist_ok=True)
    for name in ("setpriv", "sh", "true"):
        (folder / name).write_text(f"#!/bin/sh\necho {name} >> {began}\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{entry}:{known}")
    assert launch.child_environment({})["PATH"] == known
    await launch.run(("true",), env=os.environ, log=tmp_path / "log", cwd=tmp_path)
    assert not began.exists()
    monkeypatch.setenv("PATH", entry)
    assert launch.child_environment({})["PATH"] == os.defpath


def test_a_child_whose_parent_has_died_does_not_start(tmp_path: Path) -> None:
    command = launch.in_its_place(("touch", str(tmp_path / "begun")), None, signal.SIGKILL)
    orphan = subprocess.run(["sh", "-c", '"$@" & wait $!', "sh", *command], check=False)
    assert orphan.returncode == 1
    assert not (tmp_path / "begun").exists()
