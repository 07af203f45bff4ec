"""Has Envoy validate resources before they are sent, in processes that are already started.

A process waits for its configuration: a FIFO that is written when there is something to validate.
So a validation takes as long as Envoy needs to read it, not the start of a process.
"""

import asyncio
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from mesh.controlplane.deliver.packed import Kind, Packed
from mesh.controlplane.deliver.probes import bootstrap_with
from mesh.controlplane.deliver.validation import Refusal, brief, envoy

_RUN_S_MAX = 60.0
_LOOK_S = 0.002
_ALONE_MAX = 8
"""How many processes validate at the same time."""


class Validator:
    """Validates resources; `close` ends the waiting processes. `folder` must be its own."""

    def __init__(self, folder: Path, ready: int = 2) -> None:
        self._folder, self._count = folder, ready
        self._waiting: list[asyncio.Task[_Waiting]] = []
        self._number = 0
        self._alone = asyncio.Semaphore(_ALONE_MAX)

    async def start(self) -> None:
        """Start the processes that wait. Raises ValidatorMissing."""
        _remove(self._folder)
        self._folder.mkdir(mode=0o700, parents=True)
        self._refill()
        await asyncio.gather(*self._waiting)

    async def validate(self, resources: Iterable[Packed]) -> list[Refusal]:
        """Return the resources that Envoy refuses. Secrets are not read."""
        found = [each for each in resources if each.kind is not Kind.SECRET]
        if not found or await self.refusal(found) is None:
            return []
        reasons = await asyncio.gather(*(self.refusal([each]) for each in found))
        alone = [
            Refusal(each.kind.name.lower(), each.name, reason)
            for each, reason in zip(found, reasons, strict=True)
            if reason is not None
        ]
        if alone or (reason := await self.refusal(found)) is None:
            return alone
        # Such as two listeners with one address.
        return [Refusal("resources", "together", reason)]

    async def close(self) -> None:
        """End the waiting processes."""
        for task in self._waiting:
            await (await task).end()
        self._waiting.clear()

    async def refusal(self, resources: list[Packed]) -> str | None:
        """Return why Envoy refuses the resources together, or None. Secrets are not read."""
        async with self._alone:
            self._refill()
            waiting = await self._waiting.pop(0)
            try:
                async with asyncio.timeout(_RUN_S_MAX):
                    return await waiting.refusal(bootstrap_with(resources))
            finally:
                self._refill()
                await waiting.end()

    def _refill(self) -> None:
        while len(self._waiting) < self._count:
            self._number += 1
            path = self._folder / f"{self._number}.pb"
            self._waiting.append(asyncio.create_task(_started(path)))


class _Waiting:
    """One process of Envoy that reads its configuration once."""

    def __init__(self, process: asyncio.subprocess.Process, path: Path) -> None:
        self._process, self._path = process, path

    async def refusal(self, config: bytes) -> str | None:
        """Return why Envoy refuses a packed bootstrap, or None."""
        opened = await self._opened()
        if opened is not None:
            os.set_blocking(opened, True)
            await asyncio.to_thread(_write_all, opened, config)
        out, errors = await self._process.communicate()
        if self._process.returncode == 0:
            return None
        said = (out + errors).decode(errors="replace")
        _, _, reason = said.partition(f" '{self._path}': ")
        return brief((reason or said).strip())

    async def _opened(self) -> int | None:
        """Return the FIFO, opened once Envoy reads from it; None if Envoy has ended."""
        while self._process.returncode is None:
            try:
                return os.open(self._path, os.O_WRONLY | os.O_NONBLOCK)
            except OSError:
                await asyncio.sleep(_LOOK_S)
        return None

    async def end(self) -> None:
        """End the process, if it has not ended."""
        if self._process.returncode is None:
            self._process.kill()
            await self._process.communicate()
        self._path.unlink(missing_ok=True)


async def _started(path: Path) -> _Waiting:
    os.mkfifo(path, 0o600)
    process = await asyncio.create_subprocess_exec(
        # A waiting process must not outlive the control plane.
        *("setpriv", "--pdeathsig", "KILL", str(envoy())),
        *("--mode", "validate", "--log-level", "critical", "-c", str(path)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    return _Waiting(process, path)


def _remove(path: Path) -> None:
    """Remove what a former process, or a person, left here. A link's target stays."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _write_all(opened: int, content: bytes) -> None:
    with os.fdopen(opened, "wb") as fifo:
        try:
            fifo.write(content)
        except BrokenPipeError:
            return  # Envoy has ended; its output says why.
