"""A gateway, its sidecars and a partner, with calls in flight while a test edits their folder."""

import asyncio
import shutil
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import aiohttp

from mesh import ctl
from ops.waiting import until
from tests.rigs.mesh.gateway import BODY, TRANSFER, Gateway, open_gateway
from tests.rigs.mesh.partner import HOLD, Partner

ACH = "ach-network.example"
BALANCE = "/v1/balances/0190a8a0-0000-7000-8000-000000000007"
_T = TypeVar("_T")


@dataclass
class Edited:
    """The running proxies and the folder of their configuration."""

    gateway: Gateway
    ach: Partner
    config: Path
    statuses: list[int] = field(default_factory=list[int])
    errors: list[str] = field(default_factory=list[str])

    def edit(self, file: str, old: str, new: str) -> None:
        """Change a file of the folder; no proxy gets it yet."""
        path = self.config / file
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    async def in_flight(self, take: Callable[[], Awaitable[_T]], stay_s: float) -> _T:
        """Have the proxies take an edit while calls are in flight; fails if one of them fails.

        Two slow calls remain in flight for `stay_s` afterwards.
        """
        self.ach.told(HOLD)
        seen = self.gateway.seen
        calls = seen.calls
        slow = [asyncio.create_task(self._order()), asyncio.create_task(self._submit())]

        async def arrived() -> bool:
            return seen.calls > calls and bool(self.ach.keys)

        await until(arrived, 10, "both slow calls have arrived")
        load = asyncio.create_task(self._load())
        try:
            made = await take()
            await asyncio.sleep(stay_s)
            self.ach.release.set()
            seen.release.set()
            assert await asyncio.gather(*slow) == [200, 200]
        finally:
            load.cancel()
            self.ach.release.clear()
            seen.release.clear()
        assert set(self.statuses) == {200}, self.errors
        return made

    async def _order(self) -> int:
        """Order a transfer whose service waits until it is released; return the status."""
        body = BODY | {"memo": "held"}
        return (await self.gateway.call("POST", TRANSFER, json=body)).status

    async def _submit(self) -> int:
        """Call a partner that waits until it is released; return the status."""
        connector = aiohttp.UnixConnector(str(self.gateway.rig.socket_out("payments")))
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.post(f"http://{ACH}/x", data=b"{}") as response,
        ):
            return response.status

    async def _load(self) -> None:
        """Read balances until cancelled, and note each status; a broken connection is 0."""
        while True:
            try:
                self.statuses.append((await self.gateway.call("GET", BALANCE)).status)
            except aiohttp.ClientError as error:
                self.statuses.append(0)
                self.errors.append(repr(error))
            # This makes fewer reads than a customer's bucket allows.
            await asyncio.sleep(0.02)


@asynccontextmanager
async def open_edited(*, streamed: bool = False) -> AsyncGenerator[Edited]:
    """Start the proxies, which read files or have streams, and the partner."""
    async with open_gateway(streamed=streamed) as gateway:
        rig, ach = gateway.rig, Partner()
        config = rig.home / "config"
        shutil.copytree(ctl.CONFIG, config)
        await ach.start(rig.partner_port[ACH], rig.home / "partners" / ACH, rig.ach_members_ca.pem)
        try:
            yield Edited(gateway, ach, config)
        finally:
            await ach.close()
