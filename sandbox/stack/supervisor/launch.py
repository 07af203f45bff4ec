"""Starting a child so that it can never outlive the supervisor.

Every child asks the kernel for a signal at its parent's death; this survives even kill -9 of the
supervisor. PostgreSQL refuses to run as root, so a child may also change its user id; where the
new user could not reach the repository (a clone under /root), it keeps the one capability to pass
directories rather than have the permissions of foreign directories changed.

All this is asked for by small programs that run before the child's own, in its place (util-linux's
setpriv and chrt), not by Python code between fork and exec: a library with threads may act on a
fork there (gRPC starts its threads again, and they abort when exec's files are closed).
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

from ops.waiting import FACTOR_VARIABLE

LOG_TAIL_CHARS = 600


@dataclass(frozen=True)
class OsUser:
    """The user a child runs as; `keep_access` keeps CAP_DAC_OVERRIDE across the change."""

    uid: int
    gid: int
    keep_access: bool


def unprivileged_user(paths: Sequence[Path]) -> OsUser | None:
    """Who runs what refuses root: None when we are not root, else `postgres` or `nobody`."""
    if os.geteuid() != 0:
        return None
    entry = _first_user("postgres", "nobody")
    # A link is followed through the folders that it lies in, and then through those it leads to.
    ways = [way for path in paths for way in (path.absolute(), path.resolve())]
    blocked = any(not _passable(folder) for way in ways for folder in way.parents)
    return OsUser(entry.pw_uid, entry.pw_gid, keep_access=blocked)


def _first_user(*names: str) -> pwd.struct_passwd:
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    return next(known[name] for name in names if name in known)


def _passable(folder: Path) -> bool:
    return bool(folder.stat().st_mode & 0o001)


async def start(
    command: Sequence[str],
    *,
    env: Mapping[str, str],
    log: Path,
    cwd: Path | None = None,
    user: OsUser | None = None,
    death_signal: signal.Signals = signal.SIGKILL,
) -> asyncio.subprocess.Process:
    """Start `command` with its output appended to `log`. Call from the main thread only: the
    kernel ties the death signal to the thread that forked."""
    with log.open("ab") as output:
        return await asyncio.create_subprocess_exec(
            *in_its_place(command, user, death_signal),
            env=dict(env),
            cwd=cwd,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


async def run(
    command: Sequence[str], *, env: Mapping[str, str], log: Path, user: OsUser | None = None
) -> None:
    """Run `command` to its end; RuntimeError with the log's tail when it fails."""
    process = await start(command, env=env, log=log, user=user)
    try:
        code = await process.wait()
    except asyncio.CancelledError:
        process.kill()
        raise
    if code != 0:
        tail = log.read_text(errors="replace")[-LOG_TAIL_CHARS:]
        raise RuntimeError(f"{Path(command[0]).name} ended with {code}; see {log}:\n{tail}")


async def run_program(command: Sequence[str], env: Mapping[str, str], log: Path) -> None:
    """Run a program of the provisioning; it ends with the supervisor."""
    await run(command, env=child_environment(env), log=log)


def in_its_place(
    command: Sequence[str], user: OsUser | None, death_signal: signal.Signals
) -> list[str]:
    """`command` as what this process must start: it ends with this process, and is `user`'s.

    The child, and what it starts, is a batch process to Linux's scheduler: it takes its turn like
    any other, but one that wakes up does not push aside the one that runs. Twenty processes that
    wake each other on two cores would else spend much of their time on cold caches.
    """
    return [
        "setpriv",
        *(_become(user) if user is not None else ()),
        "--pdeathsig",
        death_signal.name.removeprefix("SIG"),
        *("chrt", "--batch", "0"),
        # The parent may have died before it could be asked to be told of.
        *("sh", "-c", 'test "$PPID" -eq "$0" || exit 1; exec "$@"', str(os.getpid())),
        *command,
    ]


def _become(user: OsUser) -> Sequence[str]:
    change = (f"--reuid={user.uid}", f"--regid={user.gid}", "--clear-groups")
    if not user.keep_access:
        return change
    # Without the bit access(2) would ignore the capability, and setuid(2) would drop it.
    kept = "-all,+dac_override"
    return (
        "--securebits=+no_setuid_fixup",
        *change,
        f"--inh-caps={kept}",
        f"--ambient-caps={kept}",
    )


def require_inotify(count: int) -> None:
    """RuntimeError with the remedy when this user has fewer than `count` inotify instances left:
    a proxy watches files with them and aborts without a word that helps."""
    libc = ctypes.CDLL(None, use_errno=True)
    handles = [libc.inotify_init1(os.O_CLOEXEC) for _ in range(count)]
    for handle in handles:
        if handle >= 0:
            os.close(handle)
    if min(handles) < 0:
        raise RuntimeError(
            "this user's inotify instances are used up, by other running stacks as a rule: stop one"
            " (`make down` there) or `sudo sysctl fs.inotify.max_user_instances=1024`"
        )


def child_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """The little a child inherits, plus `extra`: nothing of the caller's shell leaks in."""
    kept = (
        *("PATH", "HOME", "LANG", "TZ", "TMPDIR", "JAVA_HOME"),
        *("COVERAGE_PROCESS_START", FACTOR_VARIABLE),
    )
    inherited = {name: os.environ[name] for name in kept if name in os.environ}
    return {"LANG": "C.UTF-8", "TZ": "UTC", **inherited, **extra}
