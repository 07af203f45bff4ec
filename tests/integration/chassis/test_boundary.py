"""A call that fails on the wire is reported as an unavailable dependency."""

import asyncio
from pathlib import Path

import grpc.aio
import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import RequestReceived

from services.chassis.boundary import translate


async def test_a_call_that_the_other_side_resets_is_an_outage_and_no_defect(tmp_path: Path) -> None:
    socket = tmp_path / "other.sock"
    server = await asyncio.start_unix_server(_reset_each, socket)
    async with server, grpc.aio.insecure_channel(f"unix:{socket}") as channel:
        with pytest.raises(grpc.aio.AioRpcError) as reset:
            await channel.unary_unary("/any.Service/Any")(b"")
    assert reset.value.code() is grpc.StatusCode.CANCELLED
    assert translate(reset.value, "/any.Service/Any").reason == "DEPENDENCY_UNAVAILABLE"


async def _reset_each(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Reset every request of a connection, like a server that is shutting down."""
    connection = H2Connection(H2Configuration(client_side=False))
    connection.initiate_connection()
    writer.write(connection.data_to_send())
    while received := await reader.read(65536):
        for event in connection.receive_data(received):
            if isinstance(event, RequestReceived):
                connection.reset_stream(event.stream_id, ErrorCodes.CANCEL)
        writer.write(connection.data_to_send())
    writer.close()
