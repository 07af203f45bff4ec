"""Raw calls on the bank's internal mesh, through the sidecars, with the identity of an allowed
caller.

Methods of the gateway are called with the gateway's certificate. Internal methods are called
through the calling service's sidecar. The operator has no certificate on this stack, so the
operator's methods are called on the service's own socket, with the header that the sidecar sets.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import ssl
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import grpc
from google.rpc import error_details_pb2, status_pb2

from ops.provision.roster import GATEWAY, mesh_identities
from ops.waiting import scaled_s
from sandbox.stack.testing import RunningStack
from services.contracts import MethodContract
from services.kernel.identities import spiffe_id

_READ_BYTES = 65_536
_GRACE_S = 2.0


@dataclass(frozen=True)
class Reply:
    """The outcome of one call. `reason` and `domain` come from ErrorInfo, and are empty without
    one."""

    code: grpc.StatusCode
    reason: str = ""
    domain: str = ""
    said: str = ""


@dataclass
class Mesh:
    """Connections to every service, one for each pair of caller and service."""

    stack: RunningStack
    _folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="bpf-")))
    _channels: dict[tuple[str, str], grpc.Channel] = field(
        default_factory=dict[tuple[str, str], grpc.Channel]
    )
    _tunnels: list[_Tunnel] = field(default_factory=list["_Tunnel"])

    def call(self, contract: MethodContract, request: bytes, metadata: Mapping[str, str]) -> Reply:
        """Make one unary call with the raw bytes, and wait for the answer up to its deadline."""
        caller = contract.services[0] if contract.services else GATEWAY
        pairs = [(name, value) for name, value in metadata.items() if value]
        if caller not in mesh_identities():
            pairs.append(("x-forwarded-client-cert", f"URI={spiffe_id(caller)}"))
        method = self._channel(caller, contract.deployable).unary_unary(contract.path)
        try:
            method(
                request,
                timeout=contract.deadline_ms / 1000 + scaled_s(_GRACE_S),
                metadata=tuple(pairs),
            )
        except grpc.RpcError as error:
            return _reply(cast("grpc.Call", error))
        return Reply(grpc.StatusCode.OK)

    def close(self) -> None:
        """Close every connection and remove the sockets."""
        try:
            for channel in self._channels.values():
                channel.close()
            for tunnel in self._tunnels:
                tunnel.close()
        finally:
            shutil.rmtree(self._folder)

    def _channel(self, caller: str, service: str) -> grpc.Channel:
        key = (caller, service)
        if key not in self._channels:
            options = [("grpc.default_authority", service), ("grpc.use_local_subchannel_pool", 1)]
            target = f"unix:{self._socket(caller, service)}"
            self._channels[key] = grpc.insecure_channel(target, options=options)
        return self._channels[key]

    def _socket(self, caller: str, service: str) -> Path:
        places: Any = json.loads(self.stack.home.mesh_endpoints.read_text())["services"]
        if caller == GATEWAY:
            host, _, port = places[service]["instances"][0]["address"].rpartition(":")
            certs = self.stack.home.certs / GATEWAY
            tunnel = _Tunnel(self._folder / f"{service}.sock", host, int(port), certs)
            self._tunnels.append(tunnel)
            return tunnel.path
        if caller in places:
            return Path(places[caller]["outbound_socket"])
        return Path(places[service]["app_sockets"][0])


def _reply(error: grpc.Call) -> Reply:
    trailers = {name: value for name, value in error.trailing_metadata() or ()}
    raw: Any = trailers.get("grpc-status-details-bin", b"")
    for detail in status_pb2.Status.FromString(raw).details:
        info = error_details_pb2.ErrorInfo()
        if detail.Unpack(info):
            return Reply(error.code(), info.reason, info.domain)
    return Reply(error.code(), said=str(error.details()))


class _Tunnel:
    """A Unix socket that forwards to a sidecar over mutual TLS, with a given certificate.

    gRPC's own TLS requires a host name in the server's certificate. The mesh's certificates contain
    identities instead.
    """

    def __init__(self, path: Path, host: str, port: int, certs: Path) -> None:
        self.path, self._host, self._port = path, host, port
        self._joined: set[asyncio.Task[None]] = set()
        self._tls = ssl.create_default_context(cafile=str(certs / "ca.pem"))
        self._tls.check_hostname = False
        self._tls.load_cert_chain(certs / "cert.pem", certs / "key.pem")
        self._tls.set_alpn_protocols(["h2"])
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(scaled_s(_GRACE_S))

    def close(self) -> None:
        """End every connection, then the loop."""
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(scaled_s(_GRACE_S))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(scaled_s(_GRACE_S))
        self._loop.close()
        self.path.unlink(missing_ok=True)

    async def _end(self) -> None:
        self._server.close()
        for joined in self._joined:
            joined.cancel()
        await asyncio.gather(*self._joined, return_exceptions=True)

    async def _listen(self) -> None:
        self._server = await asyncio.start_unix_server(self._join, str(self.path))

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._joined.add(cast("asyncio.Task[None]", asyncio.current_task()))
        there, back = await asyncio.open_connection(self._host, self._port, ssl=self._tls)
        # close() cancels this task, and the stream's callback would log that as an error.
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(_pump(reader, back), _pump(there, writer))


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while chunk := await reader.read(_READ_BYTES):
            writer.write(chunk)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()
