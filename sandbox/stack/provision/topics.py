"""Kafka topics with the partition counts of the bank's design document, and their dead letters."""

from __future__ import annotations

import asyncio

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

PARTITIONS = {"payments": 6, "transfers": 6, "auth-events": 3, "notifications": 3, "audit-logs": 12}
DEAD_LETTER_SUFFIX = ".dlq"


def all_topics() -> dict[str, int]:
    """Topic to partitions, dead-letter topics (one partition) included."""
    return PARTITIONS | {f"{name}{DEAD_LETTER_SUFFIX}": 1 for name in PARTITIONS}


async def create(bootstrap: str) -> None:
    """Create the topics that do not exist yet."""
    await asyncio.to_thread(_create, bootstrap)


def _create(bootstrap: str) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    known = admin.list_topics(timeout=10).topics
    wanted = [
        NewTopic(name, num_partitions=count, replication_factor=-1)
        for name, count in all_topics().items()
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
