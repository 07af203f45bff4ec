"""Fixtures: a PostgreSQL cluster, a broker and partners that only the judge's tests use."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from ops.judge.judge import Verdict, judge
from ops.waiting import scaled_s
from tests.integration.judge.partners import clearing_house, push_service
from tests.integration.judge.plants import Planted, plant_all
from tests.integration.judge.readers import readers
from tests.integration.judge.sessions import sessions_of
from tests.integration.judge.world import World
from tests.rigs.stores import kafka_store, postgres_store, valkey_store

DRAIN_S = 45


@pytest_asyncio.fixture(scope="session")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[World]:
    """A bank without customers."""
    async with AsyncExitStack() as opened:
        folder = tmp_path_factory.mktemp
        cluster, broker, valkey = await asyncio.gather(
            opened.enter_async_context(postgres_store(folder("judge-pg"))),
            opened.enter_async_context(kafka_store(folder("judge-kafka"))),
            opened.enter_async_context(valkey_store(folder("judge-valkey"))),
        )
        ach = await opened.enter_async_context(clearing_house(folder("judge-ach")))
        push = await opened.enter_async_context(push_service(folder("judge-fcm")))
        payments = await opened.enter_async_context(await cluster.pool("bp_payments", 2))
        transfers = await opened.enter_async_context(await cluster.pool("bp_transfers", 2))
        sessions = await opened.enter_async_context(sessions_of(cluster, valkey))
        world = World(
            *(cluster, broker, ach, push, payments, transfers, sessions),
            folder("judge-mesh"),
        )
        yield world
        await world.close()


@pytest_asyncio.fixture(scope="session")
async def sound(world: World) -> Verdict:
    """The verdict over a bank without differences."""
    async with readers(world.cluster, world.broker, world.push):
        await world.fill()
        return await judge(world.stores, scaled_s(DRAIN_S))


@pytest_asyncio.fixture(scope="session")
async def planted(world: World, sound: Verdict) -> Planted:
    """Every kind of difference, each on its own transfers; the event readers are stopped."""
    assert sound.ok, sound.to_json()
    return await plant_all(world)


@pytest_asyncio.fixture(scope="session")
async def unsound(world: World, planted: Planted) -> Verdict:
    """The verdict over the planted differences."""
    return await judge(world.stores, 0.5)
