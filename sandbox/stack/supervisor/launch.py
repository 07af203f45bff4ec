"""Starts child processes that can never outlive the supervisor.

Every child asks the kernel for a signal at its parent's death; this works even after kill -9 of the
supervisor. PostgreSQL refuses to run as root, so a child may also change its user id. It keeps no
capability then. The working folder may belong to that user, so root starts programs by absolute
paths only, and children get only the absolute entries of PATH.

util-linux's setpriv sets this up and then executes the child's own program. Python code between
fork and exec is unsafe: a library with threads may react to the fork (gRPC restarts its threads,
which abort when exec closes their files).
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import pwd
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ops.programs import program, search_path
from ops.waiting import FACTOR_VARIABLE
from sandbox.stack.supervisor import private

LOG_TAIL_CHARS = 600


@dataclass(frozen=True)
class OsUser:
    """The user a child runs as."""

    uid: int
    gid: int


def unprivileged_user() -> OsUser | None:
    """Return the user for programs that refuse root: `postgres` or `nobody`; None if not root."""
    if os.geteuid() != 0:
        return None
    entry = _first_user("postgres", "nobody")
    return OsUser(entry.pw_uid, entry.pw_gid)


def is_closed(path: Path) -> bool:
    """Return whether other users cannot enter a folder on the way to a path."""
    # To follow a link, a process must enter the folders of the link and those of its target.
    ways = (path.absolute(), path.resolve())
    return not all(_passable(folder) for way in ways for folder in way.parents)


def _first_user(*names: str) -> pwd.struct_passwd:
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    return next(known[name] for name in names if name in known)


def _passable(folder: Path) -> bool:
    """Return whether others can enter a folder; one that is missing counts as if they could."""
    try:
        return bool(folder.stat().st_mode & 0o001)
    except FileNotFoundError:
        return True


async def start(
    command: Sequence[str],
    *,
    env: Mapping[str, str],
    log: Path,
    cwd: Path | None = None,
    user: OsUser | None = None,
    death_signal: signal.Signals = signal.SIGKILL,
) -> asyncio.subprocess.Process:
    """Start `command` with its output appended to `log`; its files are for its user only. Call from
    the main thread only: the kernel ties the death signal to the thread that forked."""
    with private.appending(log) as output:
        return await asyncio.create_subprocess_exec(
            *in_its_place(command, user, death_signal),
            env=dict(env),
            cwd=cwd,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            umask=private.UMASK,
        )


async def run(
    command: Sequence[str],
    *,
    env: Mapping[str, str],
    log: Path,
    cwd: Path | None = None,
    user: OsUser | None = None,
) -> None:
    """Run `command` and wait for it; RuntimeError with the end of its log when it fails."""
    process = await start(command, env=env, log=log, cwd=cwd, user=user)
    try:
        code = await process.wait()
    except asyncio.CancelledError:
        process.kill()
        raise
    if code != 0:
        tail = log.read_text(errors="replace")[-LOG_TAIL_CHARS:]
        raise RuntimeError(f"{Path(command[0]).name} exited with {code}; see {log}:\n{tail}")


async def run_program(command: Sequence[str], env: Mapping[str, str], log: Path) -> None:
    """Run a program for provisioning; it is killed if the supervisor dies."""
    await run(command, env=child_environment(env), log=log)


def in_its_place(
    command: Sequence[str], user: OsUser | None, death_signal: signal.Signals
) -> list[str]:
    """Return the command that starts `command` as `user` and ends it when this process ends."""
    return [
        program("setpriv"),
        *(_become(user) if user is not None else ()),
        "--pdeathsig",
        death_signal.name.removeprefix("SIG"),
        # The parent may have died before the death signal was set.
        *(program("sh"), "-c", 'test "$PPID" -eq "$0" || exit 1; exec "$@"', str(os.getpid())),
        program(command[0]),
        *command[1:],
    ]


def _become(user: OsUser) -> Sequence[str]:
    return (f"--reuid={user.uid}", f"--regid={user.gid}", "--clear-groups")


def require_inotify(count: int) -> None:
    """Raise RuntimeError with the remedy when this user has fewer than `count` inotify instances
    left. A proxy needs them to watch files and aborts without a helpful message."""
    libc = ctypes.CDLL(None, use_errno=True)
    handles = [libc.inotify_init1(os.O_CLOEXEC) for _ in range(count)]
    for handle in handles:
        if handle >= 0:
            os.close(handle)
    if min(handles) < 0:
        raise RuntimeError(
            "this user has no inotify instances left, usually because other stacks run: stop one"
            " (`make down` there) or run `sudo sysctl fs.inotify.max_user_instances=1024`"
        )


def child_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """Return a few inherited variables plus `extra`; other variables are not passed on."""
    kept = (
        *("HOME", "LANG", "TZ", "TMPDIR", "JAVA_HOME"),
        *("COVERAGE_PROCESS_START", FACTOR_VARIABLE),
    )
    inherited = {name: os.environ[name] for name in kept if name in os.environ}
    return {"LANG": "C.UTF-8", "TZ": "UTC", **inherited, "PATH": search_path(), **extra}
