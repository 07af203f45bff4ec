"""Signed notices to the bank's webhooks, and their delivery with retries, for every partner.

A notice counts as delivered only after a 2xx; every attempt is signed again with the real time.
What a notice says is decided by its partner.
"""

import asyncio
import hashlib
import hmac
import random
import ssl
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from sandbox.partners.settings import WebhookSettings

STALE_S = 3600
ERROR_CHARS_MAX = 200


class Tamper(StrEnum):
    """The ways to falsify a delivery on purpose; the bank must refuse each."""

    SIGNATURE = "signature"
    BODY = "body"
    STALE = "stale"


@dataclass(slots=True)
class Notice:
    """One notice for the bank, with the attempts made since the start of this process.

    `key` is the idempotency key of the order that the notice is about.
    """

    id: str
    key: str
    body: bytes
    attempts: int = 0
    last_error: str = ""

    def view(self) -> dict[str, Any]:
        """Return the notice as the control API shows it."""
        event = orjson.loads(self.body)
        return {**event, "attempts": self.attempts, "lastError": self.last_error}


def signature(secret: str, body: bytes, at: int) -> str:
    """Return the value of the signature header for a body sent at this unix time."""
    digest = hmac.new(secret.encode(), b"%d." % at + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"


class NoticeSender:
    """Delivers notices with bounded concurrency and retries; `dead` holds the failed ones."""

    def __init__(
        self, settings: WebhookSettings | None, record: Callable[[str, str], None], header: str
    ) -> None:
        """`record(notice id, "delivered" or "dead")` is called when a delivery ends. `header` is
        the name of the signature header."""
        self._settings = settings
        self._header = header
        self._record = record
        self._queue: asyncio.Queue[Notice] = asyncio.Queue()
        self._gate = asyncio.Event()
        self._gate.set()
        self._context: tuple[tuple[float, ...], ssl.SSLContext] | None = None
        self._session: aiohttp.ClientSession | None = None
        self.pending: dict[str, Notice] = {}
        self.dead: dict[str, Notice] = {}
        self.delivered = 0
        self.attempts = 0

    def enqueue(self, events: Iterable[Notice]) -> int:
        """Queue notices that are not queued yet; return how many, 0 without a webhook target."""
        count = 0
        if self._settings is None:
            return count
        for event in events:
            self.dead.pop(event.id, None)
            if event.id not in self.pending:
                self.pending[event.id] = event
                self._queue.put_nowait(event)
                count += 1
        return count

    def hold(self) -> None:
        """Send nothing until `release`."""
        self._gate.clear()

    def release(self) -> None:
        """Resume sending."""
        self._gate.set()

    @property
    def is_held(self) -> bool:
        """True between `hold` and `release`."""
        return not self._gate.is_set()

    def counts(self) -> dict[str, Any]:
        """Return the counts that the control API shows."""
        return {
            "pending": len(self.pending),
            "delivered": self.delivered,
            "dead": len(self.dead),
            "attempts": self.attempts,
            "held": self.is_held,
        }

    def revive(self) -> int:
        """Queue all dead notices again, with their attempts reset."""
        events = list(self.dead.values())
        for event in events:
            event.attempts = 0
        return self.enqueue(events)

    def forget(self, notice_id: str) -> None:
        """Drop a notice that its partner no longer keeps; it is not sent again."""
        self.dead.pop(notice_id, None)
        self.pending.pop(notice_id, None)

    async def run(self) -> None:
        """Deliver until cancelled."""
        settings = self._settings
        if settings is None:
            await asyncio.Event().wait()
            return
        timeout = aiohttp.ClientTimeout(total=settings.timeout_ms / 1000)
        async with aiohttp.ClientSession(timeout=timeout) as self._session:
            workers = [self._work(settings) for _ in range(settings.concurrency_max)]
            await asyncio.gather(*workers)

    async def drain(self, timeout_s: float) -> bool:
        """Wait until nothing is pending; return False on timeout."""
        end = time.monotonic() + timeout_s
        while self.pending:
            if time.monotonic() >= end:
                return False
            await asyncio.sleep(0.01)
        return True

    async def send_tampered(self, event: Notice, tamper: Tamper) -> dict[str, Any]:
        """Send one falsified notice, never retried or recorded; return the bank's answer."""
        settings, session = self._settings, self._session
        if settings is None or session is None:
            return {"id": event.id, "status": None, "error": "no webhook target"}
        body, secret, at = event.body, settings.secret, int(time.time())
        if tamper is Tamper.STALE:
            at -= STALE_S
        if tamper is Tamper.SIGNATURE:
            secret = "not-the-secret"
        header = signature(secret, body, at)
        if tamper is Tamper.BODY:
            body = body.replace(b".", b"_", 1)
        status, error = await self._post(settings, session, body, header)
        return {"id": event.id, "status": status, "error": error}

    async def _work(self, settings: WebhookSettings) -> None:
        while True:
            event = await self._queue.get()
            await self._gate.wait()
            await self._attempt(settings, event)

    async def _attempt(self, settings: WebhookSettings, event: Notice) -> None:
        session = self._session
        if session is None or event.id not in self.pending:
            return
        event.attempts += 1
        self.attempts += 1
        header = signature(settings.secret, event.body, int(time.time()))
        status, error = await self._post(settings, session, event.body, header)
        if status is not None and 200 <= status < 300:
            self._end(event, "delivered")
            self.delivered += 1
            return
        event.last_error = error or f"HTTP {status}"
        if event.attempts >= settings.attempts_max:
            if self._end(event, "dead"):
                self.dead[event.id] = event
            return
        asyncio.get_running_loop().call_later(
            _backoff_s(settings, event.attempts), self._queue.put_nowait, event
        )

    def _end(self, event: Notice, fate: str) -> bool:
        """Record the fate; return False if the notice was forgotten in the meantime."""
        # Recorded after the answer: a crash in between sends the notice again and loses none.
        self._record(event.id, fate)
        return self.pending.pop(event.id, None) is not None

    async def _post(
        self, settings: WebhookSettings, session: aiohttp.ClientSession, body: bytes, header: str
    ) -> tuple[int | None, str]:
        """Return the HTTP status (None without an answer) and the error text."""
        headers = {"Content-Type": "application/json", self._header: header}
        try:
            context = self._client_context(settings)
            async with session.post(
                settings.url, data=body, headers=headers, ssl=context, allow_redirects=False
            ) as response:
                return response.status, (await response.text())[:ERROR_CHARS_MAX]
        except (aiohttp.ClientError, TimeoutError, OSError, ssl.SSLError, ValueError) as error:
            return None, f"{type(error).__name__}: {error}"[:ERROR_CHARS_MAX]

    def _client_context(self, settings: WebhookSettings) -> ssl.SSLContext:
        """Return the client's TLS context; certificate files are read again after rotation."""
        files = (settings.bank_ca, settings.cert, settings.key)
        stamp = tuple(Path(file).stat().st_mtime for file in files)
        if self._context is None or self._context[0] != stamp:
            context = ssl.create_default_context(cafile=str(settings.bank_ca))
            context.load_cert_chain(settings.cert, settings.key)
            self._context = (stamp, context)
        return self._context[1]


def _backoff_s(settings: WebhookSettings, attempts: int) -> float:
    """Return a wait that doubles with each attempt up to the maximum, 50 to 100 % at random."""
    full = min(settings.backoff_ms_max, settings.backoff_first_ms * 2 ** min(attempts - 1, 20))
    return full * random.uniform(0.5, 1.0) / 1000
