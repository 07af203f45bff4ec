"""Each revision of the mesh's configuration is audited once, whatever fails in between."""

import asyncio
import shutil
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
from bp.mesh.v1 import mesh_events_pb2 as pb

from mesh import ctl
from mesh.pilot import config_folder
from ops.waiting import until
from services.audit.events_in import Recorder, subscription
from services.audit.settings import AuditSettings
from services.audit.store import Store
from services.chassis import kafka
from tests.rigs import sample_events
from tests.rigs.mesh.pilot import Plane, replaced
from tests.rigs.mesh.pilot_mesh import StreamRig
from tests.rigs.router_process import RouterProcess
from tests.rigs.stores import KafkaStore, PostgresStore, kafka_store

OWN = config_folder.read(ctl.CONFIG)
FILE, TIMEOUT = "services/customers.yaml", "timeout: 6s"
RECORDS = "SELECT payload FROM audit.record WHERE subject = 'mesh-config' ORDER BY sequence"


@dataclass
class Bank:
    """A control plane without proxies, a broker, a router and the audit log."""

    plane: Plane
    broker: KafkaStore
    audit: asyncpg.Connection

    @property
    def events(self) -> Path:
        """The folder with the events and the mark."""
        return self.plane.places.history / "events"

    async def revise(self) -> int:
        """Apply a configuration that differs from all earlier ones; return its revision."""
        return await self.plane.applied(
            replaced(OWN, FILE, TIMEOUT, f"timeout: {3000 + await self.plane.number()}ms")
        )

    async def records(self) -> list[pb.MeshConfigRevised]:
        """Return the audited revisions in the order of their records."""
        rows = await self.audit.fetch(RECORDS)
        return [pb.MeshEvent.FromString(row["payload"]).mesh_config_revised for row in rows]

    async def audited(self, number: int) -> list[pb.MeshConfigRevised]:
        """Wait until a revision is audited; return all records, each of another revision."""

        async def there() -> list[pb.MeshConfigRevised]:
            found = await self.records()
            return found if found and found[-1].revision >= number else []

        try:
            found = await until(there, 60, f"revision {number} is audited")
        except TimeoutError as error:
            state = await self.plane.get("events")
            raise TimeoutError(f"{error}: {state}\n{self.plane.log}") from error
        assert [each.revision for each in found] == list(range(1, len(found) + 1))
        return found

    async def progress(self) -> Any:
        """Return what the control plane says about its events."""
        return (await self.plane.get("events"))["events"]

    def sent(self) -> list[str]:
        """Return the ids of all messages of the topic, repeated ones too."""
        found = sample_events.read_all(self.broker.bootstrap, "mesh-events")
        return [sample_events.header_of(each, "ce_id").decode() for each in found]


@pytest_asyncio.fixture(scope="module")
async def bank(
    postgres: PostgresStore, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[Bank]:
    """Run everything; the broker is this module's own, because its tests stop it."""
    folder = tmp_path_factory.mktemp("revisions")
    async with AsyncExitStack() as opened:
        broker = await opened.enter_async_context(kafka_store(tmp_path_factory.mktemp("kafka")))
        rig = StreamRig()
        opened.push_async_callback(rig.close)
        rig.plane.kafka = broker.bootstrap
        await rig.plane.start()
        opened.push_async_callback(rig.plane.kill)
        router = RouterProcess(broker.bootstrap, folder)
        router.start()
        opened.callback(router.kill)
        stop = asyncio.Event()
        pool = await postgres.pool("bp_audit", 2, "bp_audit")
        opened.push_async_callback(pool.close)
        settings = AuditSettings(
            home=folder,
            socket_in=folder / "x",
            openbao_addr="",
            service_account_token_file=folder / "x",
            kafka_bootstrap=broker.bootstrap,
        )
        recording = asyncio.create_task(
            kafka.consume(subscription(settings), Recorder(Store(pool)).record, stop)
        )
        audit = await postgres.session("postgres", "bp_audit")
        opened.push_async_callback(audit.close)
        await rig.plane.applied(OWN)
        yield Bank(rig.plane, broker, audit)
        stop.set()
        await recording


async def test_an_application_an_edit_and_a_rollback_are_audited_with_who_and_why(
    bank: Bank,
) -> None:
    plane = bank.plane
    first = await plane.number()
    await bank.revise()
    plane.edit("services/payments.yaml", "timeout: ", "# slower\n      timeout: ")
    await plane.in_force(first + 2)
    rollback = {"to": first, "why": "it was better"}
    assert (await plane.call("POST", "rollback", rollback)).status == 200
    applied, edited, rolled_back = (await bank.audited(first + 3))[-3:]
    assert (applied.origin, applied.why, applied.parent) == (pb.APPLY, "a test", first)
    assert (applied.changed_objects[0].kind, applied.changed_object_count) == ("VirtualService", 1)
    assert (edited.origin, edited.changed_object_count) == (pb.EDIT, 0)
    assert (rolled_back.origin, rolled_back.restored) == (pb.ROLLBACK, first)
    assert rolled_back.why == "it was better"
    revisions = (await plane.get("history"))["revisions"]
    shown = [(each["number"], each["who"], each["digest"]) for each in reversed(revisions)]
    assert [(e.revision, e.who, e.digest) for e in await bank.records()] == shown
    assert await bank.progress() == {"published": first + 3, "waiting": 0, "error": ""}


async def test_while_kafka_is_down_edits_come_into_force_and_are_audited_later(bank: Bank) -> None:
    await bank.broker.runner.stop()
    try:
        first = await bank.revise()
        assert await bank.revise() == first + 1

        async def waits() -> bool:
            found = await bank.progress()
            return found["waiting"] == 2 and "NotSent" in found["error"]

        await until(waits, what="two events wait")
    finally:
        await bank.broker.runner.start()
        assert await bank.broker.runner.wait_ready()
    await bank.audited(first + 1)


@pytest.mark.parametrize("how", ["killed", "stopped"])
async def test_a_revision_is_audited_after_an_end_before_its_publication(
    bank: Bank, how: str
) -> None:
    """A stop does not wait for Kafka."""
    await bank.broker.runner.stop()
    try:
        number = await bank.revise()
        await (bank.plane.kill() if how == "killed" else bank.plane.stop())
        assert bank.plane.running.returncode == (-9 if how == "killed" else 0)
    finally:
        await bank.broker.runner.start()
        assert await bank.broker.runner.wait_ready()
    await bank.plane.start()
    await bank.audited(number)


@pytest.mark.parametrize("lost", ["mark", "half of the mark", "events"])
async def test_lost_files_send_the_same_events_again_and_they_are_audited_once(
    bank: Bank, lost: str
) -> None:
    number = await bank.revise()
    await bank.audited(number)
    before = Counter(bank.sent())
    await bank.plane.kill()
    mark = bank.events / "published.json"
    if lost == "mark":
        mark.unlink()
    elif lost == "events":
        shutil.rmtree(bank.events)
    else:
        mark.write_bytes(mark.read_bytes()[: len(mark.read_bytes()) // 2])
    await bank.plane.start()
    after = await bank.revise()
    records = await bank.audited(after)
    assert len(records) == after
    again = Counter(bank.sent())
    assert len(again) == after
    assert all(again[one] > count for one, count in before.items())
