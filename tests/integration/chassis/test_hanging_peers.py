"""A sidecar that hangs keeps no connection and no call of its service."""

import asyncio
import signal
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest

from ops.waiting import until
from services.chassis import grpc_server
from services.chassis.grpc_server import Server
from services.chassis.settings import ServiceSettings

# A call without a deadline that never ends: the health of the service, whenever it changes.
CLIENT = """
import sys
import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

with grpc.insecure_channel(f"unix:{sys.argv[1]}") as channel:
    for _ in health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest()):
        print("watching", flush=True)
"""


def _connections(socket: Path) -> int:
    """Return the connections to a socket; the socket itself is one more entry of its name."""
    lines = Path("/proc/net/unix").read_text().splitlines()
    return sum(line.endswith(f" {socket}") for line in lines) - 1


async def test_the_connection_of_a_hanging_sidecar_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grpc_server, "KEEPALIVE_S", 0.2)
    monkeypatch.setattr(grpc_server, "KEEPALIVE_TIMEOUT_S", 0.2)
    settings = ServiceSettings(
        service="customers",
        home=tmp_path,
        socket_in=tmp_path / "in.sock",
        openbao_addr="unused",
        service_account_token_file=tmp_path / "unused",
    )
    server = Server(settings, {})
    await server.start()
    client = await asyncio.create_subprocess_exec(
        sys.executable, "-c", CLIENT, str(settings.socket_in), stdout=PIPE
    )
    try:
        assert client.stdout
        await client.stdout.readline()
        assert _connections(settings.socket_in) == 1
        client.send_signal(signal.SIGSTOP)

        async def ended() -> bool:
            return _connections(settings.socket_in) == 0

        # Without the limit for the answer to a ping, this takes a minute.
        await until(ended, 4, "the server ends the connection")
    finally:
        client.kill()
        await client.wait()
        await server.drain()
