"""A thin client of OpenBao's HTTP API, used to provision it. Services use hvac instead."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

import aiohttp


class BaoError(Exception):
    """OpenBao refused a call; the message holds method, path, status and OpenBao's text."""


class BaoClient:
    """One session with one token."""

    def __init__(self, addr: str, token: str = "") -> None:
        """Keep the token and the address: a URL, or `unix://` and the path of a socket. `async
        with` opens the session."""
        self._addr = addr
        self._headers = {"X-Vault-Token": token} if token else {}
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Open the session."""
        timeout = aiohttp.ClientTimeout(total=15)
        scheme, _, path = self._addr.partition("://")
        connector = aiohttp.UnixConnector(path) if scheme == "unix" else None
        base = "http://openbao" if connector else self._addr
        self._session = aiohttp.ClientSession(
            base, headers=self._headers, timeout=timeout, connector=connector
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        if self._session is not None:
            await self._session.close()

    async def read(self, path: str) -> dict[str, Any] | None:
        """Send GET and return the JSON; None for a 404."""
        return await self._call("GET", path, None)

    async def write(self, path: str, **body: Any) -> dict[str, Any]:
        """Send POST and return the answer's JSON, {} when it has no body."""
        return await self._call("POST", path, body) or {}

    async def login(self, role: str, jwt: str) -> str:
        """Log in as a service account, as a service does, and return the token."""
        answer = await self.write("auth/kubernetes/login", role=role, jwt=jwt)
        return answer["auth"]["client_token"]

    async def _call(
        self, method: str, path: str, body: dict[str, Any] | None
    ) -> dict[str, Any] | None:
        if self._session is None:
            raise RuntimeError("use `async with BaoClient(...)`")
        async with self._session.request(method, f"/v1/{path}", json=body) as answer:
            if answer.status == 404 and method == "GET":
                return None
            if answer.status >= 400:
                raise BaoError(f"{method} {path}: {answer.status} {await answer.text()}")
            return await answer.json() if answer.status != 204 else None
