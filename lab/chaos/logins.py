"""Customers who log in and refresh their tokens while parts of the bank fail.

An app repeats a step until the answer is definite, because each new login uses up one of the day's
codes. When a login session or a refresh token is no longer valid, because the bank lost it, the app
logs in again. After the bank has healed, a new customer must get in.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable

import aiohttp
import asyncpg

from lab.chaos.expected_balances import Difference
from lab.chaos.orders import NO_ANSWER, REPEATED_STATUS, SERVER_FAULT
from ops.waiting import scaled_s
from sandbox.app import App
from sandbox.client import Answer, BankClient

CUSTOMERS = 6
"""Each login sends a text message, and a number gets ten a day."""
CODES_USED_UP = "OTP_SENDS_EXHAUSTED"
CALL_S = 50.0
"""Longer than the deadline of each step."""
PAUSE_S = 1.0
CODE_S = 5.0
"""How long an app waits for a text message before it begins again."""
HEALED_S = 90.0
"""How long a login may take after the last fault: an open breaker of the SMS gateway lasts 60 s."""
_NOTHING = Answer(NO_ANSWER, "", {}, {})

STORES_DOWN = (OSError, aiohttp.ClientError, asyncpg.PostgresError, asyncpg.InterfaceError)
"""How a new customer's databases fail while PostgreSQL stops or starts."""


class Logins:
    """The logins of one run."""

    def __init__(self, bank: BankClient) -> None:
        self._bank = bank
        self._running: list[asyncio.Task[None]] = []
        self.answers: Counter[str] = Counter()
        self.defects: list[Difference] = []
        self._without_codes: set[str] = set()
        """Faces of the customers who have used up the day's codes."""

    def start(self, seconds: float) -> None:
        """Let the customers begin; each ends by itself."""
        end_s = time.monotonic() + seconds
        self._running = [asyncio.create_task(self._live(end_s)) for _ in range(CUSTOMERS)]

    async def finish(self) -> list[Difference]:
        """Wait for the calls in flight, let a new customer log in, and return what was wrong."""
        await asyncio.gather(*self._running)
        within_s = scaled_s(HEALED_S)
        end_s = time.monotonic() + within_s
        app = await self._app()
        while not await self._log_in(app, end_s):
            if time.monotonic() > end_s:
                found = str(self.answers.most_common(5))
                wanted = f"within {within_s:g} s"
                self.defects.append(Difference("NO_LOGIN_AFTER_HEALING", app.face, wanted, found))
                break
            await asyncio.sleep(PAUSE_S)
            if app.face in self._without_codes:
                app = await self._app()
        return self.defects

    def stop(self) -> None:
        """End the customers of an interrupted run."""
        for task in self._running:
            task.cancel()

    async def _app(self) -> App:
        return await App.of(self._bank, await self._bank.customer())

    async def _live(self, end_s: float) -> None:
        """Log in, then refresh until the tokens are no longer valid, and begin again."""
        app: App | None = None
        while time.monotonic() < end_s:
            await asyncio.sleep(PAUSE_S)
            if app is None or app.face in self._without_codes:
                app = await self.opened()
            if app is not None and await self._log_in(app, end_s):
                await self._refresh_until(app, end_s)

    async def _refresh_until(self, app: App, end_s: float) -> None:
        for _ in range(int(end_s - time.monotonic())):
            await asyncio.sleep(PAUSE_S)
            if not await self._refreshed(app):
                return

    async def opened(self) -> App | None:
        """Return a new customer's app; None while the stores are down."""
        try:
            return await self._app()
        except STORES_DOWN:
            return None
        except ExceptionGroup as several:
            # The databases are written at the same time.
            _, others = several.split(STORES_DOWN)
            if others is not None:
                raise others from None
            return None

    async def _refreshed(self, app: App) -> bool:
        """Return whether the session lives, as far as the app knows."""
        answer = await self._ask("refresh", app.refresh)
        return answer.status == 200 or answer.status in REPEATED_STATUS or answer.status >= 500

    async def _log_in(self, app: App, end_s: float) -> bool:
        before = await self._texts(app)
        started = await self._ask("login", app.login)
        if started.status != 200:
            if isinstance(started.body, dict) and started.reason == CODES_USED_UP:
                self._without_codes.add(app.face)
            return False
        code = await self._code(app, before)
        session_id = started.body["sessionId"]
        asked = await self.definite("verify-otp", lambda: app.verify_otp(session_id, code), end_s)
        if asked.status != 200:
            return False
        done = await self.definite(
            "biometric", lambda: app.answer_biometric(session_id, asked), end_s
        )
        return done.status == 200

    async def definite(
        self, step: str, send: Callable[[], Awaitable[Answer]], end_s: float
    ) -> Answer:
        """Repeat a step until its answer is definite or the time has ended; return the last one."""
        while True:
            answer = await self._ask(step, send)
            repeated = answer.status in REPEATED_STATUS or answer.status > SERVER_FAULT
            if not repeated or time.monotonic() > end_s:
                return answer
            await asyncio.sleep(PAUSE_S)

    async def _texts(self, app: App) -> int:
        try:
            return len(await app.texts())
        except (OSError, aiohttp.ClientError, KeyError, TypeError):
            return 0

    async def _code(self, app: App, before: int) -> str:
        """Return the code that arrived; a wrong one if none came in time."""
        try:
            async with asyncio.timeout(scaled_s(CODE_S)):
                return await app.code(before)
        except (OSError, aiohttp.ClientError, TimeoutError, KeyError, TypeError):
            return "000000"

    async def _ask(self, step: str, send: Callable[[], Awaitable[Answer]]) -> Answer:
        """Return the answer and count it; an answer that did not arrive has no status."""
        try:
            async with asyncio.timeout(scaled_s(CALL_S)):
                answer = await send()
        except (OSError, aiohttp.ClientError, TimeoutError, ValueError):
            answer = _NOTHING
        reason = answer.reason if answer.status >= 400 and isinstance(answer.body, dict) else ""
        self.answers[f"{step}: {answer.status or 'no answer'} {reason}".strip()] += 1
        if answer.status == SERVER_FAULT:
            self.defects.append(
                Difference("LOGIN_DEFECT", step, "no status 500", answer.text[:200])
            )
        return answer
