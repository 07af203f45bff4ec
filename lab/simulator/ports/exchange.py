"""A request to a partner and its answer, with the interface of aiohttp."""

from collections.abc import Awaitable


class Reply:
    """An answer."""

    def __init__(self, status: int, body: bytes) -> None:
        self.status = status
        self._body = body

    async def read(self) -> bytes:
        """Return the body."""
        return self._body


class Exchange:
    """One request. `async with` waits for its answer."""

    def __init__(self, answer: Awaitable[Reply]) -> None:
        self._answer = answer

    async def __aenter__(self) -> Reply:
        return await self._answer

    async def __aexit__(self, *_: object) -> None:
        return None
