"""A service whose process an attacker controls cannot fill its callers' memory with counters."""

import asyncio
from itertools import count

import aiohttp
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import RequestReceived

from mesh.controlplane.translate.counters import UNKNOWN
from ops.waiting import until
from tests.rigs.mesh.proxies import Rig

CHECK_DEBIT = "http://customers/bp.customers.v1.CustomersService/CheckDebit"
FIRST_UNKNOWN = 17
CALLS = 10


async def test_status_codes_that_do_not_exist_share_one_counter() -> None:
    """Each call is answered with another one."""
    codes = count(FIRST_UNKNOWN)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = H2Connection(H2Configuration(client_side=False))
        connection.initiate_connection()
        while data := await reader.read(65536):
            for event in connection.receive_data(data):
                if isinstance(event, RequestReceived):
                    said = [(":status", "200"), ("content-type", "application/grpc")]
                    said.append(("grpc-status", str(next(codes))))
                    connection.send_headers(event.stream_id, said, end_stream=True)
            writer.write(connection.data_to_send())
        writer.close()

    rig = Rig()
    server = await asyncio.start_unix_server(serve, rig.socket_in("customers"))
    try:
        await rig.start(["payments", "customers"])
        for _ in range(CALLS):
            await _call(rig)
        for proxy in ("payments", "customers"):
            await _counted(rig, proxy)
    finally:
        await rig.close()
        server.close()


async def _call(rig: Rig) -> None:
    headers = {"content-type": "application/grpc", "te": "trailers"}
    connector = aiohttp.UnixConnector(str(rig.socket_out("payments")))
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.post(CHECK_DEBIT, data=b"\0\0\0\0\0", headers=headers) as answer,
    ):
        await answer.read()


async def _counted(rig: Rig, proxy: str) -> None:
    async def there() -> bool:
        found = await rig.stats(proxy, "calls.total")
        assert all(name.endswith(f".outcome.{UNKNOWN}") for name in found), found
        return list(found.values()) == [CALLS]

    await until(there, 10, f"{proxy} counts every call in one counter")
