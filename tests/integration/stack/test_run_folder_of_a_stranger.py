"""Another user makes the run folder of a stopped bank and plays its supervisor.

The run folder of a long BP_HOME is in /tmp, where every user can create a folder of its name.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import subprocess
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread

import pytest
import typer

from ops.bpctl import connections
from ops.waiting import scaled_s
from sandbox.seed import cluster
from sandbox.stack import cli
from sandbox.stack.home import Home
from sandbox.stack.supervisor import orphans
from sandbox.stack.testing import RunningStack

STRANGER = 64_999
"""A user id of no account."""
SECRET = "a secret of root"
REQUEST_BYTES_MAX = 4096

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    """A bank that ran and is stopped, whose run folder is in /tmp."""
    home = Home(tmp_path / ("long-name-" * 8))
    home.create()
    home.remove_run()
    run = home.run
    assert run.parent != home.root
    openbao = f"unix://{run / 'bao.sock'}"
    known = {"BP_RUN": str(run), "BP_OPENBAO_ADDR": openbao, "BP_OPENBAO_PRIVATE_ADDR": openbao}
    home.endpoints.write_text(json.dumps(known))
    monkeypatch.setenv("BP_HOME", str(home.root))
    yield home
    for folder in {run, home.run}:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def taken(home: Home) -> Path:
    """The run folder, which another user made first."""
    run = home.run
    run.mkdir(mode=0o755)
    os.chown(run, STRANGER, STRANGER)
    return run


@contextmanager
def playing_the_supervisor(run: Path, name: str = "supervisor.sock") -> Generator[list[bytes]]:
    """Answer every request as a supervisor does; yield the requests."""
    asked: list[bytes] = []

    def answer() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:  # the listener was shut down
                return
            # A client may only connect.
            with suppress(OSError), connection:
                asked.append(connection.recv(REQUEST_BYTES_MAX))
                connection.sendall(b'{"ok": true, "nodes": []}\n')

    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(run / name))
        listener.listen()
        thread = Thread(target=answer)
        thread.start()
        try:
            yield asked
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


@pytest.mark.parametrize(("command", "code"), [("status", 3), ("down", 0), ("pids", 1)])
def test_a_command_asks_no_supervisor_of_another_user(
    taken: Path, command: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with playing_the_supervisor(taken) as asked:
        assert cli.main([command]) == code
    assert "bank is not running" in capsys.readouterr().out
    assert asked == []


def test_bpctl_uses_no_run_folder_of_another_user(
    taken: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Regression: it sent what a link in that folder led to."""
    with playing_the_supervisor(taken) as asked:
        for use in (connections.addresses, connections.require_running, connections.vault_token):
            with pytest.raises(typer.Exit) as ended:
                use()
            assert ended.value.exit_code == connections.AWAY
            assert "The bank is not running" in capsys.readouterr().err
    assert asked == []


@pytest.mark.parametrize("kind", ["link", "file of another user"])
def test_bpctl_sends_no_token_that_the_bank_did_not_write(home: Home, kind: str) -> None:
    home.create()
    known = json.loads(home.endpoints.read_text())
    home.endpoints.write_text(json.dumps({**known, "BP_RUN": str(home.run)}))
    token = home.run / connections.ACCOUNT / "token"
    token.parent.mkdir()
    if kind == "link":
        (home.root / "secret").write_text(SECRET)
        token.symlink_to(home.root / "secret")
    else:
        token.write_text(SECRET)
        os.chown(token, STRANGER, STRANGER)
    with playing_the_supervisor(home.run), pytest.raises(OSError, match=str(token)):
        connections.vault_token()


async def test_the_seed_logs_in_to_no_server_of_another_user(taken: Path, home: Home) -> None:
    """Regression: such a server can ask for the superuser's password."""
    server = {"BP_POSTGRES_HOST": str(taken), "BP_POSTGRES_PORT": "5432"}
    home.endpoints.write_text(json.dumps({**server, "BP_POSTGRES_SUPERUSER": "postgres"}))
    with (
        playing_the_supervisor(taken, ".s.PGSQL.5432") as asked,
        pytest.raises(ConnectionError, match="The bank is not running"),
    ):
        await asyncio.wait_for(cluster.connect("bp_write"), scaled_s(10))
    assert asked == []


def test_no_process_that_another_user_names_is_ended(
    taken: Path, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RunningStack, "open", lambda root: None)
    with subprocess.Popen(["sleep", "600"]) as process:
        orphans.record(taken / home.pids_file.name, {"postgres": process.pid})
        os.chown(taken / home.pids_file.name, STRANGER, STRANGER)
        try:
            RunningStack.open_empty(home.root)
            assert process.poll() is None
        finally:
            process.kill()
    assert home.run != taken
