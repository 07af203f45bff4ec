"""Readiness probes: SQL, Kafka metadata, gRPC health, HTTP, Redis PING.

A probe is data with one coroutine, `check`, which returns True when the part serves. It never
raises for a part that is not up yet.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any, Protocol

import aiohttp
import asyncpg
import grpc
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from grpc_health.v1 import health_pb2

from ops.waiting import scaled_s

CHECK_TIMEOUT_S = 2.0


class Probe(Protocol):
    """Checks whether a part is serving."""

    async def check(self) -> bool:
        """Return True when the part answers that it is ready."""
        ...


@dataclass(frozen=True)
class SqlProbe:
    """`SELECT 1` with the superuser's credentials."""

    host: str
    port: int
    user: str
    password: str
    database: str = "postgres"

    async def check(self) -> bool:
        """Return True when a query is answered."""
        try:
            connection = await asyncpg.connect(
                host=self.host,
                port=self.port,
                user=self.user,
                password=self.password,
                database=self.database,
                timeout=int(CHECK_TIMEOUT_S),
            )
            try:
                return await connection.fetchval("SELECT 1") == 1
            finally:
                await connection.close(timeout=CHECK_TIMEOUT_S)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
            return False


@dataclass(frozen=True)
class KafkaProbe:
    """Cluster metadata with at least one broker."""

    bootstrap: str

    async def check(self) -> bool:
        """Return True when the metadata contain a broker."""
        host, _, port = self.bootstrap.partition(":")
        if not await accepts(host, int(port)):
            return False
        return await asyncio.to_thread(self._metadata)

    def _metadata(self) -> bool:
        client = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})
        try:
            return bool(client.list_topics(timeout=CHECK_TIMEOUT_S).brokers)
        except KafkaException:
            return False


@dataclass(frozen=True)
class GrpcHealthProbe:
    """gRPC health (service "") on a Unix socket."""

    socket: str

    async def check(self) -> bool:
        """Return True when the server answers SERVING."""
        try:
            answer = await _grpc_health(self.socket, CHECK_TIMEOUT_S)
        except grpc.aio.AioRpcError:
            return False
        return answer.status == health_pb2.HealthCheckResponse.SERVING


@dataclass(frozen=True)
class GrpcAnswers:
    """Any answer of gRPC health: it shows that the process is alive, even if it cannot serve."""

    socket: str
    timeout_s: float = 5.0

    async def check(self) -> bool:
        """Return False when there is no answer in time."""
        try:
            await _grpc_health(self.socket, self.timeout_s)
        except grpc.aio.AioRpcError as error:
            return error.code() not in (
                grpc.StatusCode.DEADLINE_EXCEEDED,
                grpc.StatusCode.UNAVAILABLE,
            )
        return True


async def _grpc_health(socket: str, timeout_s: float) -> health_pb2.HealthCheckResponse:
    async with grpc.aio.insecure_channel(f"unix:{socket}") as channel:
        check = channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        return await check(health_pb2.HealthCheckRequest(service=""), timeout=timeout_s)


@dataclass(frozen=True)
class HttpProbe:
    """GET returns 200; sent over `unix_socket` when given."""

    url: str
    unix_socket: str | None = None

    async def check(self) -> bool:
        """Return True on status 200."""
        return await http_status("GET", self.url, self.unix_socket) == 200


@dataclass(frozen=True)
class RedisProbe:
    """PING is answered with PONG on a Unix socket, after a login."""

    socket: str
    user: str
    password: str = field(repr=False)

    async def check(self) -> bool:
        """Return True on +PONG."""
        try:
            async with asyncio.timeout(CHECK_TIMEOUT_S):
                reader, writer = await asyncio.open_unix_connection(self.socket)
                writer.write(f"AUTH {self.user} {self.password}\r\nPING\r\n".encode())
                await reader.readline()
                answer = await reader.readline()
                writer.close()
        except (OSError, TimeoutError):
            return False
        return answer.startswith(b"+PONG")


async def wait_for(probe: Probe, within_s: float = 30.0) -> None:
    """Wait until the part serves; TimeoutError after `within_s`, scaled."""
    async with asyncio.timeout(scaled_s(within_s)):
        while not await probe.check():  # noqa: ASYNC110 another process
            await asyncio.sleep(0.1)


async def accepts(host: str, port: int) -> bool:
    """Return whether a TCP connection is accepted."""
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S):
            _, writer = await asyncio.open_connection(host, port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


async def http_status(method: str, url: str, unix_socket: str | None = None) -> int:
    """Return the status of one request, or 0 when there is no answer."""
    try:
        async with (
            _session(unix_socket) as session,
            session.request(method, url) as answer,
        ):
            return answer.status
    except (aiohttp.ClientError, OSError, TimeoutError):
        return 0


async def http_json(url: str, unix_socket: str | None = None) -> Any:
    """Return the JSON of a GET, or None when there is no answer."""
    try:
        async with _session(unix_socket) as session, session.get(url) as answer:
            return await answer.json(content_type=None)
    except (aiohttp.ClientError, OSError, TimeoutError):
        return None


def _session(unix_socket: str | None) -> aiohttp.ClientSession:
    connector = aiohttp.UnixConnector(path=unix_socket) if unix_socket else None
    timeout = aiohttp.ClientTimeout(total=CHECK_TIMEOUT_S)
    return aiohttp.ClientSession(connector=connector, timeout=timeout)
