"""The paths of one control plane below BP_HOME."""

from dataclasses import dataclass
from pathlib import Path

NAME = "control-plane"
FIRST_INSTANCE = "-0"
LAST_GOOD = "last-good/bootstrap.json"
STREAM = "stream.json"
START = "start.json"
"""In a proxy's folder: a link to the bootstrap from which the proxy started last."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where the control plane reads and writes. `home` is BP_HOME, `run` its folder of sockets."""

    home: Path
    run: Path

    @property
    def active(self) -> Path:
        """The configuration in force, which SREs may edit in place."""
        return self.home / "mesh" / "config"

    @property
    def history(self) -> Path:
        """The revisions of the configuration."""
        return self.home / "mesh" / "history"

    @property
    def endpoints(self) -> Path:
        """The addresses of all processes, written by the stack."""
        return self.home / "mesh" / "endpoints.json"

    @property
    def drained(self) -> Path:
        """The instances that SREs drain."""
        return self.home / "mesh" / "drained.json"

    @property
    def expiring(self) -> Path:
        """The texts that are removed from the configuration after some time."""
        return self.home / "mesh" / "expiring.json"

    @property
    def held(self) -> Path:
        """The edits in place that are held back."""
        return self.home / "mesh" / "held.json"

    @property
    def envoy(self) -> Path:
        """The bootstraps and the last good resources, one folder a proxy."""
        return self.home / "envoy"

    @property
    def admin_socket(self) -> Path:
        """The Unix socket of the admin API."""
        return self.run / NAME / "admin.sock"

    def ads_socket(self, node: str) -> Path:
        """Return the Unix socket on which a proxy gets its resources."""
        return self.run / folder_name(node) / "ads.sock"

    def proxy(self, node: str) -> Path:
        """Return the folder with the bootstraps and the last good files of a proxy."""
        return self.envoy / folder_name(node)

    def good(self, node: str) -> Path:
        """Return the bootstrap of a proxy's last good files, which is written after the others."""
        return self.proxy(node) / LAST_GOOD

    def reads_files(self, node: str) -> bool:
        """Return whether a proxy started from its last good files, so that it gets updates there.

        A proxy that has no such files yet counts too.
        """
        start = self.proxy(node) / START
        return not self.good(node).exists() or (
            start.is_symlink() and start.readlink() == Path(LAST_GOOD)
        )

    def pinned_since_s(self, node: str) -> float | None:
        """Return when a proxy started from a bootstrap that is not the control plane's, or None.

        Such a proxy gets no updates at all until it is started again.
        """
        start = self.proxy(node) / START
        try:
            pinned = start.readlink() not in (Path(LAST_GOOD), Path(STREAM))
            return start.lstat().st_mtime if pinned else None
        except OSError:  # it never started
            return None


def folder_name(node: str) -> str:
    """Return the folder of a proxy: the workload's name, and for further instances the node's."""
    return node.removesuffix(FIRST_INSTANCE)
