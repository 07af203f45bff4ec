"""The languages of customers when the customers service does not answer."""

import uuid
from pathlib import Path

import grpc.aio

from services.notifications.languages import CustomersLanguages


async def test_without_the_call_at_customers_no_language_is_known(tmp_path: Path) -> None:
    """During a release, an earlier customers service has no such call; messages must not wait."""
    server = grpc.aio.server()
    server.add_insecure_port(f"unix:{tmp_path}/customers.sock")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"unix:{tmp_path}/customers.sock") as channel:
            assert await CustomersLanguages(channel).of({uuid.uuid4()}) == {}
    finally:
        await server.stop(None)
