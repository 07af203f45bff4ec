"""A stack whose stores lie on small volumes, so that a disk can be full without harming anybody.

The supervisor runs in a mount namespace of its own, with a tmpfs at each store's folder: nobody
else sees them, and they are gone when the last process of the stack is. Root needs no more for it;
anybody else gets a user namespace as well. Where the system allows neither, the tests fail and say
what is needed.
"""

import contextlib
import os
import shlex
import subprocess
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

from ops.waiting import scaled_s
from sandbox.stack.home import Home
from sandbox.stack.testing import RunningStack

SIZES_MIB = {"postgres": 512, "kafka": 128}
"""Ample for a short test; the ballast fills what is left."""

BLOCKS_BYTES = (1024 * 1024, 4096, 1)

NEEDED = """\
Tests of full disks need a mount namespace of their own, and this machine gives none:
{errors}
Needed is util-linux (unshare, setpriv) and one of: root with CAP_SYS_ADMIN (in a container
`--cap-add SYS_ADMIN`), or user namespaces for all (`sysctl kernel.unprivileged_userns_clone=1`,
and on Ubuntu `sysctl kernel.apparmor_restrict_unprivileged_userns=0`)."""


class VolumesUnavailableError(AssertionError):
    """The machine cannot give a test small volumes; the message says what is needed."""


@dataclass(frozen=True)
class SmallVolumes:
    """A running stack, and its disks to fill."""

    stack: RunningStack

    def _folder(self, store: str) -> Path:
        """A store's volume, seen through the supervisor's own mounts."""
        supervisor = self.stack.home.lock_file.read_text()
        return Path(f"/proc/{supervisor}/root{self.stack.home.data / store}")

    def fill(self, store: str) -> None:
        """Leave no byte free on a store's volume."""
        with (self._folder(store) / "ballast").open("wb", buffering=0) as out:
            for block in BLOCKS_BYTES:
                with contextlib.suppress(OSError):
                    while out.write(bytes(block)) == block:
                        pass

    def free_bytes(self, store: str) -> int:
        """How much room is left."""
        found = os.statvfs(self._folder(store))
        return found.f_bavail * found.f_frsize

    @contextlib.contextmanager
    def room_afterwards(self, store: str) -> Generator[None]:
        """Delete the ballast after the body, also when it fails: the judge needs the stores."""
        try:
            yield
        finally:
            (self._folder(store) / "ballast").unlink(missing_ok=True)


def start(root: Path) -> SmallVolumes:
    """Start a supervisor on small volumes; nothing of the stack runs yet.

    Raises VolumesUnavailableError with the remedy.
    """
    _require(_in_namespace("mount -t tmpfs tmpfs /tmp"))
    home = Home(root.resolve())
    home.create()
    mounts: list[str] = []
    for store, size in SIZES_MIB.items():
        folder = home.data / store
        folder.mkdir(mode=0o700)
        mounts.append(f"mount -t tmpfs -o size={size}m,mode=0700 tmpfs {shlex.quote(str(folder))}")
    return SmallVolumes(RunningStack.open(home.root, _in_namespace(" && ".join(mounts))))


def _in_namespace(mounts: str) -> tuple[str, ...]:
    """Return the command that mounts, unseen by others, and becomes what stands behind it."""
    if os.geteuid() == 0:
        # No user namespace: PostgreSQL runs as another user, whom one of root's would not know.
        unshare, drop = ("unshare", "--mount", "--propagation", "private"), ""
    else:
        unshare = ("unshare", "--user", "--map-current-user", "--keep-caps", "--mount")
        drop = "--ambient-caps=-all --inh-caps=-all"
    # A change of capabilities takes the signal at the caller's death away; it is asked for anew.
    script = f'{mounts} && exec setpriv {drop} --pdeathsig TERM "$@"'
    return (*unshare, "sh", "-ec", script, "sh")


def _require(command: tuple[str, ...]) -> None:
    try:
        tried = subprocess.run(
            (*command, "true"), capture_output=True, text=True, timeout=scaled_s(20)
        )
        errors = tried.stderr if tried.returncode else ""
    except OSError as error:
        errors = str(error)
    if errors:
        raise VolumesUnavailableError(NEEDED.format(errors=errors.strip()))
