"""The audit service's parts in one process, on real stores."""

import asyncio
import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import hvac
import pytest
from bp.audit.v1.audit_events_pb2 import AuditEvent
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from ops.waiting import scaled_s, until
from services.audit import topic
from services.audit.events_in import Recorder, subscription
from services.audit.head_files import HeadFiles
from services.audit.heads import Mark, Signed
from services.audit.inspection import Report, Trust, inspect
from services.audit.notary import KEY, MARK_PATH, Notary, mark_of, verdicts, verification_of
from services.audit.settings import AuditSettings
from services.audit.signing import Signer
from services.audit.store import Store
from services.chassis import kafka as chassis_kafka
from services.chassis.kafka import client
from services.chassis.postgres import connect
from services.chassis.vault import Vault
from tests.rigs import sample_events
from tests.rigs.stores import KafkaStore, OpenBaoStore, PostgresStore

SAMPLED = "sampled"
"""The source topic of sample events: every event claims its first offset."""


@dataclass
class Audit:
    """The service's consumer, store and signer, in this process, with real stores."""

    settings: AuditSettings
    postgres: PostgresStore
    openbao: OpenBaoStore
    store: Store
    heads: HeadFiles
    signer: Signer
    health: chassis_kafka.Health
    stop: asyncio.Event
    task: "asyncio.Task[None] | None" = None

    def start(self) -> None:
        """Consume until `end`."""
        self.stop.clear()
        handler = Recorder(self.store).record
        self.task = asyncio.create_task(
            chassis_kafka.consume(subscription(self.settings), handler, self.stop, self.health)
        )

    async def end(self) -> None:
        """Stop the consumer, so that all offsets are committed and no more events arrive."""
        self.stop.set()
        if self.task is not None:
            await self.task

    async def sign(self) -> Signed:
        """Sign the heads now."""
        signed = await self.signer.sign(even_unchanged=True)
        assert signed is not None
        return signed

    def trust(self) -> Trust:
        """What `bpctl audit verify` trusts, read with bpctl's own rights."""
        operator = hvac.Client(url=self.openbao.part.addr)
        jwt = self.openbao.token_file("bpctl").read_text()
        login = operator.adapter.post(
            "/v1/auth/kubernetes/login", json={"role": "bpctl", "jwt": jwt}
        )
        operator.token = login["auth"]["client_token"]

        async def verify(batch: list[Signed]) -> list[bool]:
            path = f"/v1/transit/verify/{KEY}"
            return verdicts(operator.adapter.post(path, json=verification_of(batch)))

        async def mark() -> Mark:
            answer = operator.adapter.get(f"/v1/secret/data/{MARK_PATH}")
            return mark_of(answer["data"]["data"])

        return Trust(self.heads, verify, mark)

    async def verified(self, *, since_head: bool = False) -> Report:
        """Verify the log as an operator does."""
        judge = await connect(self.postgres.database("bp_judge", "bp_audit"), "test")
        # A verification waits for Kafka and OpenBao while its transaction is open.
        await judge.execute("SET idle_in_transaction_session_timeout = 1")
        try:
            bootstrap = self.settings.kafka_bootstrap
            return await inspect(judge, bootstrap, self.trust(), since_head=since_head)
        finally:
            await judge.close()


@asynccontextmanager
async def running_audit(
    kafka: KafkaStore, postgres: PostgresStore, openbao: OpenBaoStore, folder: Path
) -> AsyncGenerator[Audit]:
    """Run the service's consumer; `folder` keeps the signed heads.

    Here each partition holds few events, so the consumer and a verification wait less for more.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(topic, "READ_WAIT_S", 0.005)
        patch.setattr(client, "IDLE_WAIT_S", 0.05)
        async with _consuming(kafka, postgres, openbao, folder) as one:
            yield one


@asynccontextmanager
async def _consuming(
    kafka: KafkaStore, postgres: PostgresStore, openbao: OpenBaoStore, folder: Path
) -> AsyncGenerator[Audit]:
    fill_source(kafka, SAMPLED, 1)
    pool = await postgres.pool("bp_audit", 3, "bp_audit")
    settings = AuditSettings(
        home=folder,
        socket_in=folder / "x",
        openbao_addr=openbao.part.private_addr,
        service_account_token_file=openbao.token_file("audit"),
        kafka_bootstrap=kafka.bootstrap,
        batch_linger_ms=10,
    )
    vault = Vault(settings)
    await vault.login()
    store, heads = Store(pool), HeadFiles(settings.heads)
    signer = Signer(store, heads, Notary(vault))
    health = chassis_kafka.Health()
    one = Audit(settings, postgres, openbao, store, heads, signer, health, asyncio.Event())
    one.start()
    yield one
    await one.end()
    await pool.close()


def fill_source(kafka: KafkaStore, topic: str, count: int) -> None:
    """Give a source topic, which has one partition, at least this many messages."""
    client = AdminClient({"bootstrap.servers": kafka.bootstrap})
    if topic not in client.list_topics(timeout=scaled_s(10)).topics:
        (made,) = client.create_topics([NewTopic(topic, 1)]).values()
        made.result()
    there = len(list(sample_events.read_all(kafka.bootstrap, topic)))
    sample_events.write_raw(kafka.bootstrap, topic, [(b"key", b"event")] * (count - there))


def audit_event(
    event_id: str, subject: str = "", position: tuple[str, int, int] = (SAMPLED, 0, 0)
) -> AuditEvent:
    """Return an event of audit-logs; `position` is its topic, partition and offset. Its time is
    that of its UUIDv7, so an event that is repeated has the same time.
    """
    event = AuditEvent(
        event_id=event_id,
        event_type="bp.payments.v1.TransferDebited",
        source_topic=position[0],
        source_partition=position[1],
        source_offset=position[2],
        subject=subject or str(uuid.uuid4()),
        payload=b"whole event",
    )
    event.occur_time.FromMilliseconds(uuid.UUID(event_id).int >> 80)
    return event


async def on_record(owner: asyncpg.Connection, ids: list[str]) -> int:
    """Count the records of events."""
    query = "SELECT count(*) FROM audit.record WHERE event_id = ANY($1::uuid[])"
    count: int | None = await owner.fetchval(query, ids)
    assert count is not None
    return count


async def recorded(owner: asyncpg.Connection, ids: list[str], count: int) -> None:
    """Wait until that many of the events are recorded."""

    async def enough() -> bool:
        return await on_record(owner, ids) >= count

    await until(enough)


async def erase(owner: asyncpg.Connection, table: str, ids: list[str]) -> None:
    """Delete the rows of events with the triggers disabled, as a superuser can."""
    await owner.execute("SET session_replication_role = replica")
    await owner.execute(f"DELETE FROM audit.{table} WHERE event_id = ANY($1::uuid[])", ids)
    await owner.execute("RESET session_replication_role")


async def chain_of(owner: asyncpg.Connection, event_id: str) -> int:
    """Return the chain of an event."""
    query = "SELECT chain FROM audit.record WHERE event_id = $1"
    chain: int | None = await owner.fetchval(query, event_id)
    assert chain is not None
    return chain
