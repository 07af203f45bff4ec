"""Creates the Kafka topics of the contracts and their dead-letter topics."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import AlterConfigOpType, ConfigEntry, ConfigResource
from confluent_kafka.cimpl import NewTopic

from services.contracts.topics import DEAD_LETTER_PARTITIONS, all_topics

KEPT = {"retention.ms": "-1", "retention.bytes": "-1"}
"""Kafka deletes nothing by age or size: a group that is down would lose unread records.

The router and the audit service delete records that every group has read. A dead letter is the only
copy of its message, and explains why the audit log has no record of it; operators delete it.
"""


def partitions() -> dict[str, int]:
    """Return the partitions of each topic by its name, dead-letter topics included."""
    found = {each.name: each.partitions for each in all_topics()}
    return found | {each.dead_letters: DEAD_LETTER_PARTITIONS for each in all_topics()}


async def create(bootstrap: str) -> None:
    """Create missing topics, and keep all topics from deleting records by age or size."""
    await asyncio.to_thread(_create, bootstrap)


def _create(bootstrap: str) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    known = admin.list_topics(timeout=10).topics
    wanted = [
        NewTopic(name, num_partitions=count, replication_factor=-1, config=KEPT)
        for name, count in partitions().items()
        if name not in known
    ]
    if wanted:
        _created(admin, wanted)
    _keep(admin, partitions().keys() & known.keys())


def _created(admin: AdminClient, wanted: list[NewTopic]) -> None:
    for future in admin.create_topics(wanted, operation_timeout=10).values():
        try:
            future.result()
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise


def _keep(admin: AdminClient, names: Iterable[str]) -> None:
    """Set the retention of topics that an earlier version created."""
    changes = [
        ConfigResource(
            ConfigResource.Type.TOPIC,
            name,
            incremental_configs=[
                ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET)
                for key, value in KEPT.items()
            ],
        )
        for name in names
    ]
    if changes:
        for future in admin.incremental_alter_configs(changes).values():
            future.result()
