"""Builds the indexes of partitioned tables without stopping writers.

PostgreSQL cannot build such an index CONCURRENTLY as a whole. So a migration declares it with
`CREATE INDEX ... ON ONLY`, which reads nothing, and this module builds it in each partition and
attaches the parts. The index becomes valid with the last part. Each step may be repeated.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import asyncpg

NAME_CHARS_MAX = 63
"""PostgreSQL truncates longer names."""

_MISSING = """
SELECT format('%I', n.nspname) AS schema, i.relname AS index_name, t.relname AS table_name,
    p.relname AS partition, pg_get_indexdef(i.oid) AS definition
FROM pg_index x
JOIN pg_class i ON i.oid = x.indexrelid AND i.relkind = 'I'
JOIN pg_class t ON t.oid = x.indrelid
JOIN pg_namespace n ON n.oid = i.relnamespace
JOIN pg_inherits h ON h.inhparent = t.oid
JOIN pg_class p ON p.oid = h.inhrelid AND p.relkind = 'r'
WHERE NOT x.indisvalid AND NOT EXISTS (
    SELECT FROM pg_inherits part JOIN pg_index y ON y.indexrelid = part.inhrelid
    WHERE part.inhparent = i.oid AND y.indrelid = p.oid)
ORDER BY 1, 2, 4
"""
_HEAD = re.compile(r"^CREATE (UNIQUE )?INDEX \S+ ON ONLY \S+ ")


class Part(NamedTuple):
    """A partition that lacks its part of an index; names as PostgreSQL stores them."""

    schema: str
    index_name: str
    table_name: str
    partition: str
    definition: str
    """The statement that would create the whole index."""

    @property
    def name(self) -> str:
        """The name of the part: the name of the index, with the suffix of the partition."""
        return f"{self.index_name}{self.partition.removeprefix(self.table_name)}"[:NAME_CHARS_MAX]

    @property
    def build(self) -> str:
        """The statement that builds the part."""
        head = rf'CREATE \1INDEX CONCURRENTLY IF NOT EXISTS "{self.name}"'
        return _HEAD.sub(rf'{head} ON {self.schema}."{self.partition}" ', self.definition)

    @property
    def attach(self) -> str:
        """The statement that attaches the part to the index."""
        index, part = f'{self.schema}."{self.index_name}"', f'{self.schema}."{self.name}"'
        return f"ALTER INDEX {index} ATTACH PARTITION {part}"


async def missing(connection: asyncpg.Connection) -> list[Part]:
    """Return the parts that the indexes of a database still lack."""
    return [Part(*row) for row in await connection.fetch(_MISSING)]
