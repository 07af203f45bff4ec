"""A request to a partner and its answer, with the interface of aiohttp."""

from collections.abc import AsyncIterator, Awaitable


class Reply:
    """An answer."""

    def __init__(self, status: int, body: bytes) -> None:
        self.status = status
        self.headers: dict[str, str] = {}
        self._body = body

    @property
    def content(self) -> "Reply":
        """The stream of the body, like aiohttp's."""
        return self

    async def iter_any(self) -> AsyncIterator[bytes]:
        """Return the body in one part."""
        yield self._body


class Exchange:
    """One request. `async with` waits for its answer."""

    def __init__(self, answer: Awaitable[Reply]) -> None:
        self._answer = answer

    async def __aenter__(self) -> Reply:
        return await self._answer

    async def __aexit__(self, *_: object) -> None:
        return None
