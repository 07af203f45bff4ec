"""The paths where a running stack keeps its state.

`Home` defines every path under BP_HOME. The kernel limits Unix socket paths to 107 bytes, so the
run directory of a deep BP_HOME is in /tmp, and BP_HOME/run is a link to it. Anybody can create a
folder of any name in /tmp, so a run directory that another user made is replaced by a new one, and
until then the bank counts as stopped.

Other users of the machine can neither list nor read anything. They can only pass through three
folders (0711), because PostgreSQL runs as another user when the bank runs as root. A folder is
refused if it is a link or belongs to another user, who could read and replace its files.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from ops import bank_home, own_folders
from sandbox.stack.supervisor import private

REPO = Path(__file__).resolve().parents[2]
RUN_DIR_CHARS_MAX = 64


@dataclass(frozen=True)
class Home:
    """The paths of one BP_HOME. `root` is absolute, and nothing above it is a link."""

    root: Path

    @property
    def run(self) -> Path:
        """Sockets, pid file and service-account tokens; short enough for socket paths."""
        direct = self.root / "run"
        if len(str(direct)) <= RUN_DIR_CHARS_MAX:
            return direct
        # The link is in a folder that only this user can change.
        if direct.is_symlink():
            return direct.readlink()
        digest = hashlib.sha256(str(self.root).encode()).hexdigest()[:10]
        return own_folders.temporary() / f"bp-{os.getuid()}-{digest}"

    @property
    def _own_run(self) -> Path:
        """The run directory for what is read or asked there, if it belongs to the bank's user.
        Otherwise a path in BP_HOME that does not exist, so the bank counts as stopped."""
        return self.run if own_folders.is_run_folder(self.run, self.root) else self.root / "stopped"

    @property
    def logs(self) -> Path:
        """The log files, one per process."""
        return self.root / "logs"

    @property
    def data(self) -> Path:
        """The data of the stores."""
        return self.root / "data"

    @property
    def conf(self) -> Path:
        """Configuration files written by the stack for its parts."""
        return self.root / "conf"

    @property
    def secrets(self) -> Path:
        """Keys that no person can access in production."""
        return self.root / "secrets"

    @property
    def certs(self) -> Path:
        """Certificates, one folder per identity; the certificate agent swaps them atomically."""
        return self.root / "certs"

    @property
    def envoy(self) -> Path:
        """Rendered Envoy configuration, one folder per proxy."""
        return self.root / "envoy"

    @property
    def partners(self) -> Path:
        """State and certificate authority of the partners."""
        return self.root / "partners"

    @property
    def reports(self) -> Path:
        """Measurements and verdicts, written as JSON."""
        return self.root / "reports"

    @property
    def audit_heads(self) -> Path:
        """Signed heads of the audit log; outside `data`, so they outlive a lost database."""
        return self.root / "audit-heads"

    @property
    def mesh_endpoints(self) -> Path:
        """The addresses that the mesh translation needs."""
        return self.root / "mesh" / "endpoints.json"

    @property
    def endpoints(self) -> Path:
        """The addresses that people and tests need, as JSON."""
        return self.root / "endpoints.json"

    @property
    def env_file(self) -> Path:
        """The same addresses as shell exports."""
        return self.root / "env"

    @property
    def valkey_socket(self) -> Path:
        """The Unix socket on which Valkey listens."""
        return self.run / "valkey.sock"

    @property
    def control_socket(self) -> Path:
        """The supervisor's Unix socket."""
        return self._own_run / "supervisor.sock"

    @property
    def lock_file(self) -> Path:
        """The lock of the running supervisor: a home has at most one supervisor."""
        return self.root / "supervisor.lock"

    @property
    def earlier_lock_file(self) -> Path:
        """The path of the lock in earlier versions."""
        return self.run / "supervisor.lock"

    @property
    def pids_file(self) -> Path:
        """The processes of the last supervisor, so that the next one can stop its orphans."""
        return self._own_run / "pids.json"

    @property
    def programs(self) -> Path:
        """A link to the copy of PostgreSQL's programs, if its user cannot reach them."""
        return self.run / "programs"

    def require_access(self) -> None:
        """Raise PermissionError if this user may not use the home; root may use any."""
        try:
            owners = {0, self.root.stat().st_uid}
        except (FileNotFoundError, NotADirectoryError):
            return
        except PermissionError:
            owners = {0}
        if os.geteuid() not in owners:
            raise PermissionError(f"{self.root} belongs to another user; run this as that user")

    def create(self) -> None:
        """Create missing directories; remove access that earlier versions gave to other users."""
        self.create_folders()
        self._create_run()
        for path in (self.root, self.run):
            private.narrow_all(path, frozenset({self.data, self.run}))

    def create_root(self) -> None:
        """Create BP_HOME itself."""
        if os.path.lexists(self.root):
            private.require_own(self.root)
            private.narrow(self.root, private.PASSABLE_MODE)
            if os.geteuid() == 0:
                private.open_way(self.root)
        else:
            private.folder(self.root, private.PASSABLE_MODE)

    def create_folders(self) -> None:
        """Create everything except the run directory."""
        self.create_root()
        for path in self._folders():
            passable = path == self.data
            if os.path.lexists(path):
                private.require_own(path)
            private.folder(path, private.PASSABLE_MODE if passable else private.FOLDER_MODE)

    def _folders(self) -> tuple[Path, ...]:
        """Return every folder of the home except the run directory."""
        return (
            *(self.logs, self.data, self.conf, self.certs, self.reports, self.envoy),
            *(self.mesh_endpoints.parent, self.partners, self.secrets, self.audit_heads),
        )

    def remove_data(self) -> None:
        """Remove what earlier runs left, except the lock and the run directory."""
        for file in (self.endpoints, self.env_file):
            file.unlink(missing_ok=True)
        for folder in self._folders():
            if folder.exists():
                shutil.rmtree(folder)
        self.create()

    def remove_run(self) -> None:
        """Remove a run directory in /tmp once nothing runs; the next start creates it again."""
        link, run = self.root / "run", self.run
        if link.is_symlink():
            link.unlink()
            if private.is_own_folder(run):
                shutil.rmtree(run, ignore_errors=True)

    def _create_run(self) -> None:
        link = self.root / "run"
        if self.run != link:
            self._link_run(link)
        self.run.mkdir(mode=private.FOLDER_MODE, exist_ok=True)
        private.require_own(self.run)
        private.folder(self.run, private.PASSABLE_MODE)

    def _link_run(self, link: Path) -> None:
        """Make the run directory and the link to it, under a new name if another user has it, or if
        the folder above it is gone."""
        run = self.run
        with contextlib.suppress(FileExistsError, FileNotFoundError):
            run.mkdir(mode=private.FOLDER_MODE)
        if not private.is_own_folder(run):
            run = Path(tempfile.mkdtemp(prefix=f"bp-{os.getuid()}-", dir=own_folders.temporary()))
            link.unlink(missing_ok=True)
        if not link.is_symlink():
            link.symlink_to(run)


def home_from_environment() -> Home:
    """Return the home that BP_HOME names, or `.bp` in the repository's root; PermissionError if it
    is a link."""
    return Home(bank_home.named())


def home_at(path: Path) -> Home:
    """Return the home of a path; PermissionError if the home itself is a link."""
    return Home(bank_home.whole(path))
