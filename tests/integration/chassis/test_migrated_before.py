"""A database that an earlier version migrated is accepted if it ran the same statements."""

import pytest

from ops.provision import migrations
from ops.provision.migrations import SERVICES, IncompatibleDatabase
from tests.rigs.stores import PostgresStore

REWORDED = "services/*/sql/migrations/reworded.sha256"
SET = "UPDATE public.schema_migrations_{} SET digest = $2 WHERE version = $1 AND digest <> $2"


def reworded() -> list[tuple[str, str, str]]:
    """Return service, name and earlier digest of each migration with changed comments."""
    files = sorted(SERVICES.parent.glob(REWORDED))
    return [
        (file.parents[2].name, name, digest)
        for file in files
        for digest, name in (line.split() for line in file.read_text().splitlines())
    ]


@pytest.mark.parametrize(("service", "name", "digest"), reworded())
async def test_a_migration_that_ran_with_other_comments_is_the_same_migration(
    postgres: PostgresStore, service: str, name: str, digest: str
) -> None:
    assert (SERVICES / service / "sql" / "migrations" / name).exists()
    version, server = name.partition("_")[0], postgres.part.server
    write = await postgres.session("postgres", "bp_write")
    sql = SET.format(service)
    try:
        assert await write.execute(sql, version, digest) == "UPDATE 1"
        await migrations._refuse_foreign(server, "bp_write", (service,))
        assert await write.execute(sql, version, "0" * 64) == "UPDATE 1"
        with pytest.raises(IncompatibleDatabase, match=f"ran a different migration {version}"):
            await migrations._refuse_foreign(server, "bp_write", (service,))
    finally:
        await write.execute(sql, version, migrations._held(service)[version])
        await write.close()
