"""Creates the Kafka topics of the contracts and their dead-letter topics."""

from __future__ import annotations

import asyncio

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from services.contracts.topics import DEAD_LETTER_PARTITIONS, all_topics


def partitions() -> dict[str, int]:
    """Return the partitions of each topic by its name, dead-letter topics included."""
    found = {each.name: each.partitions for each in all_topics()}
    return found | {each.dead_letters: DEAD_LETTER_PARTITIONS for each in all_topics()}


async def create(bootstrap: str) -> None:
    """Create the topics that do not exist yet."""
    await asyncio.to_thread(_create, bootstrap)


def _create(bootstrap: str) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    known = admin.list_topics(timeout=10).topics
    wanted = [
        NewTopic(name, num_partitions=count, replication_factor=-1)
        for name, count in partitions().items()
        if name not in known
    ]
    if not wanted:
        return
    for future in admin.create_topics(wanted, operation_timeout=10).values():
        try:
            future.result()
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise
