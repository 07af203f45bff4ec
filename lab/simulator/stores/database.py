"""A database in memory: statements are atomic and run one after the other.

A statement is a handler that writes through `put` and `drop`. If it raises, its writes are rolled
back. Listeners are called after the commit.
"""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any

import asyncpg

Row = dict[str, Any]
Handler = Callable[..., Sequence[Any]]
Undo = tuple[dict[Any, Any], Any, Any]

ABSENT = object()


def refused(sqlstate: str, message: str) -> asyncpg.PostgresError:
    """Return an error as PostgreSQL raises it."""
    error: Any = asyncpg.PostgresError(message)
    error.sqlstate = sqlstate
    return error


def sqlstate_of(error: Any) -> str:
    """Return an error's SQLSTATE."""
    return str(error.sqlstate)


class Database:
    """The transactions. The tables are dictionaries in the stores."""

    def __init__(self) -> None:
        self._undo: list[Undo] = []
        self._told: list[tuple[Callable[..., None], tuple[Any, ...]]] = []

    def put(self, table: dict[Any, Any], key: Any, value: Any) -> None:
        """Write a row."""
        self._undo.append((table, key, table.get(key, ABSENT)))
        table[key] = value

    def drop(self, table: dict[Any, Any], key: Any) -> Any:
        """Remove a row and return it."""
        gone = table.pop(key)
        self._undo.append((table, key, gone))
        return gone

    def tell(self, listener: Callable[..., None], *facts: Any) -> None:
        """Call a listener when the transaction has committed."""
        self._told.append((listener, facts))

    def transact(
        self, handler: Handler, args: Sequence[Any], *, commit: bool = True
    ) -> Sequence[Any]:
        """Execute one statement. Without `commit` it is rolled back, as after a crash."""
        try:
            rows = handler(*args)
        except BaseException:
            self._roll_back()
            raise
        if not commit:
            self._roll_back()
            return rows
        self._undo.clear()
        told, self._told = self._told, []
        for listener, facts in told:
            listener(*facts)
        return rows

    @contextmanager
    def savepoint(self) -> Generator[None]:
        """Roll back only the writes of the block if it raises."""
        writes, told = len(self._undo), len(self._told)
        try:
            yield
        except BaseException:
            self._roll_back(writes, told)
            raise

    def _roll_back(self, writes: int = 0, told: int = 0) -> None:
        for table, key, before in reversed(self._undo[writes:]):
            if before is ABSENT:
                table.pop(key, None)
            else:
                table[key] = before
        del self._undo[writes:], self._told[told:]
