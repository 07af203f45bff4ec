"""A stack whose stores are on small volumes, so that a test can safely fill a disk.

The supervisor runs in its own mount namespace, with a tmpfs at each store's folder. No other
process sees the volumes, and they disappear with the last process of the stack. As root, this is
enough. Any other user also needs a user namespace. If the system allows neither, the tests fail
with a message that says what is needed.
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
"""Enough for a short test. A ballast file fills the remaining space."""

BLOCKS_BYTES = (1024 * 1024, 4096, 1)

NEEDED = """\
Tests of full disks need their own mount namespace, and this machine does not allow one:
{errors}
Install util-linux (unshare, setpriv). Then run as root with CAP_SYS_ADMIN (in a container
`--cap-add SYS_ADMIN`), or allow user namespaces (`sysctl kernel.unprivileged_userns_clone=1`,
and on Ubuntu `sysctl kernel.apparmor_restrict_unprivileged_userns=0`)."""


class VolumesUnavailableError(AssertionError):
    """The machine does not allow small volumes. The message says what to change."""


@dataclass(frozen=True)
class SmallVolumes:
    """A running stack whose disks a test can fill."""

    stack: RunningStack

    def _folder(self, store: str) -> Path:
        """Return a store's volume, as the supervisor's own mounts show it."""
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
        """Return the free space of a store's volume."""
        found = os.statvfs(self._folder(store))
        return found.f_bavail * found.f_frsize

    @contextlib.contextmanager
    def room_afterwards(self, store: str) -> Generator[None]:
        """Remove the ballast after the block, even if it fails: the judge needs the stores."""
        try:
            yield
        finally:
            (self._folder(store) / "ballast").unlink(missing_ok=True)


def start(root: Path) -> SmallVolumes:
    """Start only the supervisor, on small volumes.

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
    """Return a command prefix: mount in a new namespace, then execute the rest of the line."""
    if os.geteuid() == 0:
        # No user namespace: PostgreSQL runs as another user, which would not exist there.
        unshare, drop = ("unshare", "--mount", "--propagation", "private"), ""
    else:
        unshare = ("unshare", "--user", "--map-current-user", "--keep-caps", "--mount")
        drop = "--ambient-caps=-all --inh-caps=-all"
    # A change of capabilities clears the parent-death signal, so it is set again.
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
