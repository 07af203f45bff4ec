"""Connects production to a schema in memory: a method of the store runs each statement.

A new store is a class with one method for each statement of its service's `queries.sql`, under the
statement's name, and one `Schema` made from it in `world.py`.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from lab.simulator.stores.database import Database, Handler
from services.chassis.postgres import Queries, load_queries

SERVICES = Path(__file__).resolve().parents[3] / "services"


class NotTaught(LookupError):
    """Production has a statement that the simulated store lacks. Add a method of its name."""


@dataclass(frozen=True, slots=True)
class Schema:
    """A schema of the database, as the connection pool of one service reaches it."""

    database: Database
    queries: Queries
    """Production's statements."""
    handlers: Mapping[str, Handler]
    """The text of a statement -> the method that executes it."""

    @classmethod
    def of(
        cls, database: Database, service: str, store: object, only: Collection[str] = ()
    ) -> "Schema":
        """Match a service's statements, or `only` some of them, with the methods of a store."""
        queries = queries_of(service)
        return cls(database, queries, taught(queries, store, only))


@cache
def queries_of(service: str) -> Queries:
    """Read production's statements of a service, once for each process."""
    return load_queries(SERVICES / service / "sql" / "queries.sql")


def taught(queries: Queries, store: object, only: Collection[str] = ()) -> Mapping[str, Handler]:
    """Return the handler of each statement of a file: the store's method of the same name."""
    handlers: dict[str, Handler] = {}
    for name in only or queries.names():
        handler = getattr(store, name, None)
        if handler is None:
            raise NotTaught(f"{type(store).__name__} has no {name}")
        handlers[getattr(queries, name)] = handler
    return handlers
