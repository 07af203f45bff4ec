"""The real process of the control plane, with a client of its admin API."""

import asyncio
import os
import signal
import sys
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from mesh.pilot import config_folder
from mesh.pilot.places import Places
from ops.waiting import scaled_s, until
from sandbox.stack.home import REPO
from sandbox.stack.supervisor.probes import HttpProbe
from tests.rigs.mesh.proxies import Rig

API = "http://control-plane/v1"
READY_S = 60.0


@dataclass(frozen=True)
class Said:
    """One answer of the admin API."""

    status: int
    kind: str
    body: Any

    @property
    def error(self) -> Any:
        """The error; fails if the answer has not the form of one."""
        assert self.kind == "application/json", self
        error = self.body["error"]
        assert error["reason"]
        assert error["message"]
        return error

    @property
    def findings(self) -> list[tuple[str, int, str]]:
        """The errors of a configuration: file, line, problem."""
        return [(one["file"], one["line"], one["problem"]) for one in self.error["findings"]]


@dataclass
class Plane:
    """One control plane on the folder of a rig; it may be killed and started again."""

    rig: Rig
    process: asyncio.subprocess.Process | None = field(default=None)
    kafka: str = ""
    """host:port of a broker; without it no event is published."""

    @property
    def places(self) -> Places:
        """The paths that the process uses."""
        return Places(self.rig.home, self.rig.home / "run")

    @property
    def probe(self) -> HttpProbe:
        """Checks that the admin API answers."""
        return HttpProbe(f"{API}/state", unix_socket=str(self.places.admin_socket))

    @property
    def log(self) -> str:
        """The end of what the process has logged."""
        return (self.rig.home / "control-plane.log").read_text(errors="replace")[-4000:]

    async def start(self) -> None:
        """Start the process and wait until it answers."""
        await self.begin()

        async def ready() -> bool:
            if self.process is None or self.process.returncode is not None:
                raise RuntimeError(f"the control plane ended:\n{self.log}")
            return await self.probe.check()

        await until(ready, READY_S, "the control plane answers")

    async def begin(self) -> None:
        """Start the process."""
        places = self.places
        with (self.rig.home / "control-plane.log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "mesh.serve"),
                *("--home", str(places.home), "--run", str(places.run), "--kafka", self.kafka),
                env={**os.environ, "PYTHONPATH": f"{REPO}:{REPO / 'gen'}"},
                cwd=REPO,
                stdout=log,
                stderr=log,
            )

    @property
    def running(self) -> asyncio.subprocess.Process:
        """The process."""
        assert self.process is not None
        return self.process

    async def kill(self) -> None:
        """End the process at once, as a crash does."""
        if self.running.returncode is None:
            self.running.kill()
        await self.running.wait()

    async def stop(self) -> None:
        """Have the process end by itself."""
        if self.running.returncode is None:
            self.running.terminate()
        await self.running.wait()

    def hang(self) -> None:
        """Stop the process without ending it."""
        self.running.send_signal(signal.SIGSTOP)

    def wake(self) -> None:
        """Continue a process that hangs."""
        self.running.send_signal(signal.SIGCONT)

    async def get(self, target: str) -> Any:
        """Return the body of a GET that succeeds."""
        said = await self.call("GET", target)
        assert said.status == 200, said
        return said.body

    async def call(self, verb: str, target: str, body: Any = None, **more: Any) -> Said:
        """Call the admin API."""
        connector = aiohttp.UnixConnector(path=str(self.places.admin_socket))
        timeout = aiohttp.ClientTimeout(total=scaled_s(READY_S))
        if body is not None:
            more["json"] = body
        async with (
            aiohttp.ClientSession(connector=connector, timeout=timeout) as session,
            session.request(verb, f"{API}/{target}", **more) as answer,
        ):
            kind = answer.content_type
            found = await answer.json() if kind == "application/json" else await answer.text()
            return Said(answer.status, kind, found)

    async def apply(self, files: dict[str, bytes], **more: Any) -> Said:
        """Apply a configuration."""
        texts = {name: body.decode() for name, body in files.items()}
        return await self.call("POST", "apply", {"files": texts, "why": "a test", **more})

    async def applied(self, files: dict[str, bytes], **more: Any) -> int:
        """Apply a configuration that is valid; return the number of its revision."""
        said = await self.apply(files, **more)
        assert said.status == 200, said
        return int(said.body["revision"]["number"])

    async def number(self) -> int:
        """Return the number of the revision in force."""
        found = (await self.get("state"))["revision"]
        return int(found["number"]) if found else 0

    async def findings(self) -> list[tuple[str, int, str]]:
        """Return the errors of the active folder."""
        found = (await self.get("state"))["findings"]
        return [(one["file"], one["line"], one["problem"]) for one in found]

    async def found(self, text: str) -> tuple[str, int, str]:
        """Wait for an error of the active folder whose problem contains a text; return it."""

        async def there() -> tuple[str, int, str] | None:
            return next((each for each in await self.findings() if text in each[2]), None)

        try:
            return await until(there, what=f"a finding with {text!r}")
        except TimeoutError as error:
            raise TimeoutError(f"{error}: {await self.findings()}\n{self.log}") from error

    async def in_force(self, number: int) -> None:
        """Wait until a revision is in force and the active folder has no errors."""

        async def there() -> bool:
            state = await self.get("state")
            return (state["revision"] or {}).get("number") == number and not state["findings"]

        try:
            await until(there, what=f"revision {number} is in force")
        except TimeoutError as error:
            raise TimeoutError(f"{error}: {await self.get('state')}\n{self.log}") from error

    def active(self) -> dict[str, bytes]:
        """Return the files of the active folder."""
        return config_folder.read(self.places.active)

    def edit(self, file: str, old: str, new: str) -> None:
        """Edit a file of the active folder as editors do: the new file replaces it by a rename."""
        text = (self.places.active / file).read_text()
        assert old in text
        self.put(file, text.replace(old, new))

    def put(self, file: str, text: str) -> None:
        """Write a file of the active folder, by a rename."""
        path = self.places.active / file
        draft = path.with_name(f".{path.name}.new")
        draft.write_text(text)
        draft.replace(path)

    def remove(self, file: str) -> None:
        """Remove a file of the active folder."""
        (self.places.active / file).unlink()

    async def status(self, node: str) -> Any:
        """Return the status of one proxy."""
        found = (await self.get("proxies"))["proxies"]
        return next(each for each in found if each["node"] == node)


def replaced(files: dict[str, bytes], file: str, old: str, new: str) -> dict[str, bytes]:
    """Return a configuration in which a text of one file is replaced."""
    assert old.encode() in files[file]
    return {**files, file: files[file].replace(old.encode(), new.encode())}
