"""The judge finds no difference in a sound bank, and reports every planted difference."""

import re
from dataclasses import replace
from pathlib import Path

import asyncpg
import pytest

from ops.judge.findings import Kind
from ops.judge.judge import Verdict, judge
from ops.judge.stores import Stores
from services.chassis.valkey import valkey_client
from tests.integration.judge.plants import PLANTS, Planted
from tests.integration.judge.world import World

EMPTY_DATABASE = "postgres"
LOGIN = {"username": "judge", "password": "unused"}


def test_a_correct_bank_with_transfers_in_every_state_has_no_difference(sound: Verdict) -> None:
    told = sound.to_json()
    assert told["differences"] == []
    assert told["ok"]
    checked = told["checked"]
    assert checked["interbank_transfers"] > 30
    assert checked["events"] == checked["published"] == checked["audit_records"] > 60
    assert checked["messages"] == checked["notification_events"] > 30
    assert checked["pushes"] == checked["deliveries"] > 30
    # Two locks of one day and scope are two requests and one message.
    assert checked["notification_repeated"] == 1


def test_every_kind_of_difference_is_planted() -> None:
    assert {kind for kind, _ in PLANTS} | {Kind.STORE_UNREADABLE} == set(Kind)


async def test_every_problem_that_the_ledger_can_name_is_planted(
    planted: Planted, world: World
) -> None:
    owner: asyncpg.Connection = await world.owner("bp_write")
    source = "SELECT prosrc FROM pg_proc WHERE oid = 'ledger.check'::regproc"
    body: str | None = await owner.fetchval(source)
    assert body is not None
    known = set(re.findall(r"SELECT '([A-Z_]+)'", body))
    assert len(known) >= 8
    assert {ids["problem"] for ids in planted.values() if "problem" in ids} == known


@pytest.mark.parametrize(
    ("kind", "plant"),
    [pytest.param(k, plant.__name__, id=f"{k.name}-{plant.__name__}") for k, plant in PLANTS],
)
def test_a_planted_difference_is_named(
    unsound: Verdict, planted: Planted, kind: Kind, plant: str
) -> None:
    wanted = planted[plant]
    of_kind = [one for one in unsound.findings.named if one.kind is kind]
    assert any(wanted.items() <= one.ids.items() for one in of_kind), (wanted, of_kind)


def test_transfers_without_differences_are_not_reported(
    unsound: Verdict, planted: Planted, world: World
) -> None:
    named = {one.ids["transfer_id"] for one in unsound.findings.named if "transfer_id" in one.ids}
    unspoilt = {str(transfer.transfer_id) for transfer in world.victims.submitted}
    assert unspoilt
    assert not named & unspoilt


async def test_a_store_that_cannot_be_read_is_a_difference(world: World, sound: Verdict) -> None:
    """Each is named, also one whose rows are compared with another store."""

    async def connect(database: str) -> asyncpg.Connection:
        return await world.stores.connect(EMPTY_DATABASE if database in closed else database)

    without_valkey = replace(world.stores, valkey=lambda: valkey_client(Path("none"), LOGIN, 1))
    closed = {"bp_audit"}
    assert await _unreadable(replace(without_valkey, connect=connect)) == {"bp_audit", "valkey"}
    closed = {"bp_auth"}
    assert await _unreadable(replace(world.stores, connect=connect)) == {"bp_auth"}


async def _unreadable(stores: Stores) -> set[str]:
    """Return the stores that the judge cannot read."""
    named = (await judge(stores, 0)).findings.named
    return {one.ids["store"] for one in named if one.kind is Kind.STORE_UNREADABLE}
