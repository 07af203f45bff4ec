"""Runs the clearing house of sandbox/partners/ach, with its journal, behind an unreliable network.

Requests go through the partner's own endpoints, so its book, its tombstones, its clock and its
notices are the same as for the running bank.
"""

import asyncio
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qsl, urlsplit

import aiohttp
from aiohttp import web

from lab.simulator.context import Context
from lab.simulator.randomness import Point
from sandbox.partners.ach.api import Endpoints, errors
from sandbox.partners.ach.book import State
from sandbox.partners.ach.book import Transfer as HouseTransfer
from sandbox.partners.ach.network import AchNetwork
from sandbox.partners.settings import AchSettings, TlsSettings, WebhookSettings
from sandbox.partners.webhooks import Notice, NoticeSender

SECRET = "a secret of the simulation"
LOOK_S = 1800.0
REVIVE_S = 6 * 3600.0
_NOWHERE = Path("/nonexistent")

Deliver = Callable[[bytes, str], Awaitable[tuple[int | None, str]]]
"""Delivers a notice's body and signature to the bank; returns status (None: no answer) and text."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as the partner's endpoints read it."""

    headers: Mapping[str, str]
    query: Mapping[str, str]
    match_info: Mapping[str, str]
    body: bytes

    async def read(self) -> bytes:
        """Return the body."""
        return self.body


class Sender(NoticeSender):
    """The partner's own sender of notices, on the simulated network."""

    deliver: Deliver

    async def run(self) -> None:
        """Deliver until cancelled."""
        settings = self._settings
        if settings is not None:
            self._session = cast("aiohttp.ClientSession", self)
            await asyncio.gather(*(self._work(settings) for _ in range(settings.concurrency_max)))

    async def _post(
        self, settings: WebhookSettings, session: Any, body: bytes, header: str
    ) -> tuple[int | None, str]:
        return await self.deliver(body, header)


class ClearingHouse:
    """One clearing house, with a state directory that survives its restarts."""

    def __init__(self, context: Context, deliver: Deliver, accepted: Callable[[str], None]) -> None:
        """`accepted` is called with the key of each transfer that the house accepts."""
        self._context = context
        self._deliver = deliver
        self._accepted = accepted
        self.folder = Path(tempfile.mkdtemp(prefix="bp-simulated-ach-"))
        self._settings = AchSettings(
            port=1,
            control_socket=_NOWHERE,
            tls=TlsSettings(cert=_NOWHERE, key=_NOWHERE),
            state_dir=self.folder,
            api_key="not asked here",
            webhook=WebhookSettings(
                url="", secret=SECRET, cert=_NOWHERE, key=_NOWHERE, bank_ca=_NOWHERE
            ),
            clock_start=datetime.fromtimestamp(context.clock.wall_s(), UTC),
            clock_running=False,
        )
        self.refused: set[str] = set()
        """Keys whose payload the clearing house will never accept."""
        self.network = self._open()
        self._sending: asyncio.Task[None] | None = None

    def _open(self) -> AchNetwork:
        network = AchNetwork(self._settings, sender_kind=Sender)
        cast("Sender", network.sender).deliver = self._deliver
        self._endpoints = Endpoints(network)
        return network

    def transfer(self, key: str) -> HouseTransfer | None:
        """Return the house's transfer with a key, without advancing its clock."""
        return self.network.book.find(key)

    async def serve(
        self, method: str, url: str, body: bytes, headers: Mapping[str, str]
    ) -> tuple[int, bytes]:
        """Answer a request like the running partner."""
        self._clock()
        parts = urlsplit(url)
        query = dict(parse_qsl(parts.query))
        routing = parts.path.rpartition("/")[2]
        asked = cast("web.Request", Asked(headers, query, {"routing": routing}, body))
        endpoints = self._endpoints
        match method, parts.path:
            case "POST", "/ach/transfer":
                response = await self._submit(asked, headers["Idempotency-Key"])
            case "GET", "/ach/transfer":
                response = await errors(asked, endpoints.find)
            case "POST", "/ach/transfer/cancel":
                response = await errors(asked, endpoints.cancel)
            case _:
                response = await errors(asked, endpoints.participant)
        return response.status, cast("bytes", cast("web.Response", response).body)

    async def _submit(self, asked: web.Request, key: str) -> web.StreamResponse:
        before = self.network.book.find(key)
        is_new = before is None or before.state is State.REJECTED
        response = await errors(asked, self._endpoints.submit)
        if response.status == 202 and is_new:
            self._accepted(key)
        if response.status == 422:
            self.refused.add(key)
        return response

    def _clock(self) -> None:
        self.network.clock.offset_s = self._context.clock.wall_s()

    async def live(self) -> None:
        """Execute due steps, resend failed notices, and restart from time to time."""
        randomness = self._context.randomness
        self._sending = asyncio.create_task(self.network.sender.run())
        looked = 0
        while True:
            await asyncio.sleep(LOOK_S)
            looked += 1
            self._clock()
            self.network.catch_up()
            if looked % int(REVIVE_S / LOOK_S) == 0:
                self.network.sender.revive()
                if randomness.injects(Point.ACH_RESTART, looked):
                    self.restart()

    def restart(self) -> None:
        """Kill the clearing house and start a new one from the journal alone."""
        self._context.note("the clearing house restarts")
        if self._sending is not None:
            self._sending.cancel()
        self.network.close()
        self.network = self._open()
        self._sending = asyncio.get_running_loop().create_task(self.network.sender.run())

    def settle_everything(self) -> None:
        """Execute due steps, and resend the notices that were given up."""
        self._clock()
        self.network.catch_up()
        self.network.sender.revive()

    def is_idle(self) -> bool:
        """Return whether no step and no notice is pending."""
        sender = self.network.sender
        return not sender.pending and not sender.dead and self.network.book.next_due() is None

    def live_transfers(self) -> list[HouseTransfer]:
        """Return all that was accepted and not cancelled."""
        gone = {State.CANCELLED, State.REJECTED}
        return [one for one in self.network.book.all() if one.state not in gone]

    def trace_of(self, transfer: HouseTransfer) -> str | None:
        """Return the trace number of a transfer."""
        return self.network.trace_of(transfer)

    def close(self) -> None:
        """Close the clearing house and delete its state."""
        self.network.close()
        shutil.rmtree(self.folder, ignore_errors=True)


__all__ = ["SECRET", "ClearingHouse", "Notice"]
