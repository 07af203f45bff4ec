"""Starts, kills and calls a partner's process. No tests here."""

import asyncio
import json
import os
import shutil
import socket
import ssl
import sys
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from ops.waiting import scaled_s, until

ROOT = Path(__file__).resolve().parents[3]
START_S = 15.0
CALL_S = 10.0


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def call_timeout() -> aiohttp.ClientTimeout:
    """Return the deadline of one call: it only catches a hang."""
    return aiohttp.ClientTimeout(total=scaled_s(CALL_S))


def client_context(ca: Path, cert: Path | None = None) -> ssl.SSLContext:
    """Return a caller's TLS context; `cert` is the client certificate, its key has suffix .key."""
    context = ssl.create_default_context(cafile=str(ca))
    if cert is not None:
        context.load_cert_chain(cert, cert.with_suffix(".key"))
    return context


@dataclass(slots=True)
class Answer:
    """The answer to a call."""

    status: int
    body: Any
    headers: dict[str, str]


@dataclass(slots=True)
class PartnerProcess:
    """One partner's process with a client for its port and its control socket."""

    name: str
    config: dict[str, Any]
    directory: Path
    session: aiohttp.ClientSession
    context: ssl.SSLContext
    headers: dict[str, str] = field(default_factory=dict)
    process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        """Base URL of the public port."""
        return f"https://127.0.0.1:{self.config['port']}"

    async def start(self) -> None:
        """Start the process and wait until it is healthy."""
        path = self.directory / f"{self.name}.json"
        path.write_text(json.dumps(self.config))
        self.process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            f"sandbox.partners.{self.name}",
            "--config",
            str(path),
            cwd=ROOT,
            env=_environment(),
        )
        await until(self._is_healthy, START_S, f"the health of {self.name}")

    async def kill(self) -> None:
        """Send SIGKILL and wait until the process has ended."""
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()

    async def terminate(self) -> int:
        """Send SIGTERM and return the exit code."""
        assert self.process is not None
        self.process.terminate()
        return await asyncio.wait_for(self.process.wait(), scaled_s(10))

    async def restart(self) -> None:
        """Send SIGKILL and start again with the same state."""
        await self.kill()
        await self.start()

    async def call(self, method: str, path: str, **options: Any) -> Answer:
        """Call the public port with the partner's usual credentials."""
        headers = {**self.headers, **options.pop("headers", {})}
        context = options.pop("context", self.context)
        url = self.url + path
        options.setdefault("timeout", call_timeout())
        async with self.session.request(
            method, url, headers=headers, ssl=context, **options
        ) as got:
            return await _answer(got)

    async def control(self, method: str, path: str, body: Any = None) -> Answer:
        """Call the control API."""
        async with (
            aiohttp.ClientSession(
                connector=aiohttp.UnixConnector(self.config["control_socket"])
            ) as session,
            session.request(
                method, f"http://partner{path}", json=body, timeout=call_timeout()
            ) as got,
        ):
            return await _answer(got)

    async def fault(self, **spec: Any) -> str:
        """Activate a fault and return its id."""
        made = await self.control("POST", "/control/faults", spec)
        assert made.status == 201, made.body
        return made.body["id"]

    def rss_mib(self) -> float:
        """Return the process's memory; pages shared with other processes count in part (PSS)."""
        assert self.process is not None
        rollup = Path(f"/proc/{self.process.pid}/smaps_rollup").read_text()
        share = next(line for line in rollup.splitlines() if line.startswith("Pss:"))
        return int(share.split()[1]) / 1024

    async def _is_healthy(self) -> bool:
        assert self.process is not None
        assert self.process.returncode is None, f"{self.name} ended while starting"
        try:
            return (await self.control("GET", "/healthz")).status == 200
        except aiohttp.ClientError:
            return False


def _environment() -> dict[str, str]:
    """Return the environment of a partner. Coverage is measured only for the bank: in a partner it
    would count towards its memory limit."""
    inherited = {name: v for name, v in os.environ.items() if name != "COVERAGE_PROCESS_START"}
    return inherited | {"PYTHONPATH": str(ROOT)}


async def _answer(got: aiohttp.ClientResponse) -> Answer:
    raw = await got.read()
    try:
        body = json.loads(raw)
    except ValueError:
        body = raw
    return Answer(got.status, body, dict(got.headers))


@asynccontextmanager
async def running(
    name: str, directory: Path, certs: Path, **extra: Any
) -> AsyncGenerator[PartnerProcess]:
    """Run a partner on free ports with its state in `directory`, and kill it at the end."""
    tls: dict[str, str] = {"cert": str(certs / f"{name}.pem"), "key": str(certs / f"{name}.key")}
    client_cert = None
    if name == "ach":
        tls["client_ca"] = str(certs / "ach-members-ca.pem")
        client_cert = certs / "bp-client.pem"
    directory.mkdir(parents=True, exist_ok=True)
    # A short folder: the path of a Unix socket is limited to 107 bytes.
    sockets = Path(tempfile.mkdtemp(prefix="bpp-"))
    places = {"port": free_port(), "control_socket": str(sockets / "control.sock")}
    config = {**places, "tls": tls, "state_dir": str(directory / "state"), **extra}
    context = client_context(certs / f"{name}-ca.pem", client_cert)
    async with aiohttp.ClientSession() as session:
        partner = PartnerProcess(name, config, directory, session, context)
        try:
            await partner.start()
            yield partner
        finally:
            await partner.kill()
            shutil.rmtree(sockets)
