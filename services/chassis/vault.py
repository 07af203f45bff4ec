"""Secrets from OpenBao: login with the service account's token, read, renew.

A token is valid for one hour and is renewed after 45 minutes; if it has expired, the service logs
in again.
hvac blocks, so each call runs in a thread. The threads are the session's own: calls of a server
that does not answer leave those of the rest of the process free.
"""

import asyncio
import time
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import hvac
import hvac.exceptions
import structlog

from services.chassis import unix_http
from services.chassis.settings import ServiceSettings

RENEW_S = 45 * 60
RETRY_S = 15
TIMEOUT_S = 5
"""The longest wait for a connection, and for each part of an answer."""

ANSWER_WITHIN_S = 5.0
"""The longest call, from its request to its answer. It contains the wait for a free thread."""

THREADS_MAX = 8
"""The calls of one session that run at the same time; further ones wait for a thread."""

OPEN_WITHIN_S = 45.0
"""How long a starting service waits for OpenBao; a service has one minute to become ready."""

OPEN_RETRY_S = 0.5

log = structlog.get_logger()

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class VersionedSecret:
    """A secret and the version that a check-and-set write must name."""

    fields: dict[str, str]
    version: int


class VaultUnavailable(ConnectionError):
    """OpenBao is sealed, failing, starting or too slow. The call itself is correct: retry it."""


@contextmanager
def _as_unreachable() -> Generator[None]:
    """Raise VaultUnavailable for the answers of a sealed or failing server."""
    try:
        yield
    except (
        hvac.exceptions.VaultDown,
        hvac.exceptions.InternalServerError,
        hvac.exceptions.BadGateway,
    ) as error:
        raise VaultUnavailable(str(error)) from error


class Vault:
    """One service's session with OpenBao."""

    def __init__(
        self,
        settings: ServiceSettings,
        renew_s: float = RENEW_S,
        answer_within_s: float = ANSWER_WITHIN_S,
    ) -> None:
        self._settings = settings
        self._renew_s = renew_s
        self._answer_within_s = answer_within_s
        self._client: Any = _client(settings.openbao_addr)
        self._threads = ThreadPoolExecutor(THREADS_MAX, "openbao")

    @property
    def token(self) -> str:
        """The current token: a secret that is never logged."""
        return str(self._client.token)

    async def _answer(self, call: Callable[[], T]) -> T:
        """Return the answer of a blocking call. A call that still waits for a thread is dropped."""
        running = asyncio.get_running_loop().run_in_executor(self._threads, call)
        try:
            async with asyncio.timeout(self._answer_within_s):
                return await running
        except TimeoutError as error:
            raise VaultUnavailable("no answer in time") from error

    async def login(self) -> None:
        """Exchange the service account's JWT for a token of one hour."""
        await self._answer(self._login)

    def _login(self) -> None:
        jwt = self._settings.service_account_token_file.read_text().strip()
        body = {"role": self._settings.service, "jwt": jwt}
        with _as_unreachable():
            answer = self._client.adapter.post("/v1/auth/kubernetes/login", json=body)
        self._client.token = answer["auth"]["client_token"]

    async def secret(self, path: str) -> dict[str, str]:
        """Read one secret of the mount `secret`, such as "external/fraud"."""
        return (await self.versioned_secret(path)).fields

    async def versioned_secret(self, path: str) -> VersionedSecret:
        """Read one secret of the mount `secret` with its version."""
        return await self._answer(lambda: self._secret(path))

    def _secret(self, path: str) -> VersionedSecret:
        try:
            return self._read(path)
        except hvac.exceptions.Forbidden:
            # The token expired or was revoked: log in once; a second refusal is raised.
            self._login()
            return self._read(path)

    def _read(self, path: str) -> VersionedSecret:
        with _as_unreachable():
            answer = self._client.secrets.kv.v2.read_secret_version(
                path=path, mount_point="secret", raise_on_deleted_version=True
            )
        fields = cast("dict[str, str]", answer["data"]["data"])
        return VersionedSecret(fields, int(answer["data"]["metadata"]["version"]))

    async def write(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Send a POST to an API path, such as "transit/sign/<key>", and return the answer."""
        sent = dict(body)
        return await self._answer(lambda: self._write(path, sent))

    def _write(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        try:
            return self._post(path, body)
        except hvac.exceptions.Forbidden:
            self._login()
            return self._post(path, body)

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        with _as_unreachable():
            answer = self._client.adapter.post(f"/v1/{path}", json=body)
        return cast("dict[str, Any]", answer)

    async def keep_alive(self) -> None:
        """Renew the token every 45 minutes, and sooner after a failure, until cancelled."""
        wait_s = self._renew_s
        while True:
            await asyncio.sleep(wait_s)
            wait_s = self._renew_s if await self._renewed() else RETRY_S

    async def _renewed(self) -> bool:
        try:
            await self._answer(self._client.auth.token.renew_self)
        except (hvac.exceptions.VaultError, OSError):
            return await self._logged_in_again()
        return True

    async def _logged_in_again(self) -> bool:
        try:
            await self.login()
        except (hvac.exceptions.VaultError, OSError) as error:
            log.warning("vault.login_failed", error=type(error).__name__)
            return False
        return True


def _client(addr: str) -> Any:
    if not addr.startswith(unix_http.SCHEME):
        return hvac.Client(url=addr, timeout=TIMEOUT_S)
    session = unix_http.session(addr.removeprefix(unix_http.SCHEME))
    return hvac.Client(url=f"http://{unix_http.HOST}", timeout=TIMEOUT_S, session=session)


async def open_vault(settings: ServiceSettings) -> Vault:
    """Return a logged-in session; wait up to `OPEN_WITHIN_S` while OpenBao is sealed or down.

    After that it raises OSError: the process ends, and its supervisor reports it and restarts it.
    """
    vault = Vault(settings)
    deadline = time.monotonic() + OPEN_WITHIN_S
    while True:
        try:
            await vault.login()
        except OSError as error:
            if time.monotonic() >= deadline:
                raise
            log.warning("vault.waiting", error=type(error).__name__)
        else:
            return vault
        await asyncio.sleep(OPEN_RETRY_S)
