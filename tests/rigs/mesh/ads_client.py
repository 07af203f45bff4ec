"""A gRPC client of the discovery server, for what Envoy never does."""

from pathlib import Path
from typing import Any

import grpc.aio

from mesh.controlplane.deliver.envelopes import message
from mesh.controlplane.deliver.packed import Kind
from mesh.controlplane.deliver.server import SERVICE

METHODS = {"Delta": "DeltaDiscoveryResponse", "Stream": "DiscoveryResponse"}


class Client:
    """One stream; `form` is Delta or Stream."""

    def __init__(self, path: Path, form: str = "Delta") -> None:
        options = [("grpc.use_local_subchannel_pool", 1)]
        self._channel = grpc.aio.insecure_channel(f"unix:{path}", options)
        self._form = form
        method = f"/{SERVICE}/{form}AggregatedResources"
        self._call: Any = self._channel.stream_stream(method)()

    async def ask(self, kind: Kind, node: str = "", **fields: Any) -> None:
        """Send a request."""
        name = METHODS[self._form].replace("Response", "Request")
        request = message(name, type_url=kind.value, node={"id": node}, **fields)
        await self._call.write(request.SerializeToString())

    async def send(self, data: bytes) -> None:
        """Send any bytes."""
        await self._call.write(data)

    async def read(self) -> Any:
        """Return the next response, or None at the end of the stream."""
        data = await self._call.read()
        empty: Any = message(METHODS[self._form])
        return empty.FromString(data) if isinstance(data, bytes) else None

    async def ended(self) -> tuple[grpc.StatusCode, str]:
        """Wait for the end of the stream; return its status."""
        return await self._call.code(), await self._call.details()

    async def close(self) -> None:
        """Disconnect."""
        await self._channel.close()
