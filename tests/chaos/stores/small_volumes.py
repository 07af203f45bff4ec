"""A stack whose stores lie on small volumes, so that a disk can be full without harming anybody.

The supervisor runs in a mount namespace of its own, with a tmpfs under each store's folder: as
root by `unshare --mount`, as anybody else in a user namespace. Where the system allows neither,
the tests fail and say what is needed; they are never left out.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from sandbox.stack import control, launch
from sandbox.stack.home import REPO, Home
from sandbox.stack.testing import RunningStack

SIZES_MIB = {"postgres": 320, "kafka": 96}
"""Ample for a short test; the ballast fills what is left."""

STEP_BYTES = 1024 * 1024
START_WITHIN_S = 20.0

MOUNT = """
home=$1; shift
for volume in $VOLUMES; do
    mount -t tmpfs -o "size=${volume#*:}m,mode=0700" tmpfs "$home/data/${volume%:*}"
done
exec setpriv $DROP --pdeathsig TERM "$@"
"""

NEEDED = """\
Tests of full disks need a mount namespace of their own, and this machine gives none:
{errors}
Needed is util-linux (unshare, setpriv) and one of: run as root with CAP_SYS_ADMIN (in a container:
`--cap-add SYS_ADMIN`), or allow unprivileged user namespaces
(`sudo sysctl kernel.unprivileged_userns_clone=1`, and on Ubuntu
`sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0`)."""


class VolumesUnavailable(AssertionError):
    """The machine cannot give a test small volumes; the message says what is needed."""


def _namespace() -> tuple[str, ...]:
    """Return the command that lets what follows mount, unseen by others."""
    if os.geteuid() == 0:
        # PostgreSQL runs as another user, whom a user namespace of root would not know.
        return ("unshare", "--mount", "--propagation", "private")
    return ("unshare", "--user", "--map-current-user", "--keep-caps", "--mount")


def require_namespace() -> tuple[str, ...]:
    """Return the command, tried out; raise VolumesUnavailable with the remedy."""
    command = (*_namespace(), "sh", "-ec", "mount -t tmpfs tmpfs /tmp && setpriv --version")
    try:
        tried = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
        errors = "" if tried.returncode == 0 else tried.stderr
    except OSError as error:
        errors = str(error)
    if errors:
        raise VolumesUnavailable(NEEDED.format(errors=errors.strip()))
    return _namespace()


@dataclass
class SmallVolumes:
    """A running stack, and its disks to fill."""

    stack: RunningStack
    supervisor: int

    def _ballast(self, store: str) -> Path:
        """Where the ballast lies, seen through the supervisor's own mounts."""
        folder = self.stack.home.data / store
        return Path(f"/proc/{self.supervisor}/root{folder}/ballast")

    def fill(self, store: str) -> None:
        """Leave no byte free on a store's volume."""
        with self._ballast(store).open("wb", buffering=0) as out:
            for step in (STEP_BYTES, 4096):
                with contextlib.suppress(OSError):
                    while out.write(b"\0" * step) == step:
                        pass

    def free_bytes(self, store: str) -> int:
        """How much room is left."""
        found = os.statvfs(self._ballast(store).parent)
        return found.f_bavail * found.f_frsize

    def make_room(self, store: str) -> None:
        """Take the ballast away."""
        self._ballast(store).unlink(missing_ok=True)


def start(root: Path) -> SmallVolumes:
    """Start a supervisor on small volumes; nothing of the stack runs yet."""
    namespace = require_namespace()
    stack = RunningStack(Home(root.resolve()), started=True)
    stack.home.create()
    for store in SIZES_MIB:
        (stack.home.data / store).mkdir(mode=0o700)
    return SmallVolumes(stack, _supervise(stack, namespace))


def _supervise(stack: RunningStack, namespace: tuple[str, ...]) -> int:
    home = stack.home
    dropped = "" if os.geteuid() == 0 else "--ambient-caps=-all --inh-caps=-all"
    environment = {
        **os.environ,
        "BP_HOME": str(home.root),
        "GRPC_ENABLE_FORK_SUPPORT": "0",
        "VOLUMES": " ".join(f"{store}:{size}" for store, size in SIZES_MIB.items()),
        "DROP": dropped,
    }
    supervisor = (sys.executable, "-m", "sandbox.stack", "supervise")
    with (home.logs / "supervisor.log").open("ab") as log:
        process = subprocess.Popen(
            [*namespace, "sh", "-ec", MOUNT, "sh", str(home.root), *supervisor],
            cwd=REPO,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            preexec_fn=launch.child_setup(None, signal.SIGTERM),
        )
    deadline = time.monotonic() + START_WITHIN_S
    while not control.is_running(home.control_socket):
        if process.poll() is not None or time.monotonic() > deadline:
            raise TimeoutError((home.logs / "supervisor.log").read_text())
        time.sleep(0.02)
    return process.pid
