"""A login that the bank asks to come later comes later, as an app does."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from sandbox.app import App
from sandbox.client import Answer
from services.kernel.errors import RateLimited

SEED = 20260102
LATER_MAX = 1.2
"""How much longer than asked a caller waits at most, as a factor."""


@dataclass(slots=True)
class Patience:
    """Callers that repeat a login for as long as too many others wait."""

    busy: int = 0
    """Answers that asked a caller to come later."""
    _randomness: random.Random = field(default_factory=lambda: random.Random(SEED))

    async def password(self, app: App) -> Answer:
        """Present the first factor."""
        return await self.repeat(app.login)

    async def log_in(self, app: App) -> Answer:
        """Log in with all three factors."""
        return await self.repeat(app.log_in)

    async def repeat(self, login: Callable[[], Awaitable[Answer]]) -> Answer:
        """Log in; return the first answer that does not ask the caller to come later."""
        while (answer := await login()).status == 429 and answer.reason == RateLimited.reason:
            self.busy += 1
            asked_s = float(answer.headers.get("retry-after", "1"))
            await asyncio.sleep(asked_s * self._randomness.uniform(1, LATER_MAX))
        return answer
