"""Transfers, wired as in `services/transfers/bootstrap.py`."""

from functools import cache
from typing import Any, cast

from lab.simulator.context import Context
from lab.simulator.machine import Method
from lab.simulator.ports.connections import Pool
from lab.simulator.ports.customers import Customers
from lab.simulator.processes import Process
from lab.simulator.services.places import NOWHERE
from lab.simulator.stores.people import People
from lab.simulator.stores.schema import Schema
from services.chassis.page_tokens import PageTokens
from services.transfers.grpc_api import TransfersApi
from services.transfers.handlers import Dependencies
from services.transfers.settings import TransfersSettings
from services.transfers.store import Store


@cache
def _settings() -> TransfersSettings:
    return TransfersSettings(service="transfers", **NOWHERE)


class Transfers:
    """Starts workers of transfers."""

    def __init__(self, context: Context, schema: Schema, people: People) -> None:
        self._context = context
        self._schema = schema
        self._people = people

    def start(self, process: Process, _number: int) -> dict[str, Method]:
        """Run a worker."""
        store = Store(cast(Any, Pool(self._context, self._schema, process)))
        customers = cast(Any, Customers(self._context, self._people, process))
        statements = cast(Any, None)  # Simulated customers read no statement.
        tokens = PageTokens(bytes(32))
        api = TransfersApi(Dependencies(_settings(), store, customers, statements, tokens))
        return {"book": api.create_book_transfer}
