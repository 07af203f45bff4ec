"""The bank's Kafka topics, from proto/bp/event/v1/topics.proto.

SQL repeats two of the names, those of the outbox.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

from bp.event.v1 import topics_pb2
from google.protobuf.message import Message

DEAD_LETTER_SUFFIX = ".dlq"
DEAD_LETTER_PARTITIONS = 1

_SPEC: Any = topics_pb2.topic_spec
_TOPIC: Any = topics_pb2.topic


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic."""

    name: str
    partitions: int
    reader_groups: tuple[str, ...]
    """Consumer groups that must read every record before it is deleted."""

    @property
    def dead_letters(self) -> str:
        """Name of its dead-letter topic, for messages that could not be processed."""
        return self.name + DEAD_LETTER_SUFFIX


@cache
def topic(number: topics_pb2.Topic) -> Topic:
    """Return a topic by its number in the contract, such as topics_pb2.PAYMENTS."""
    value = topics_pb2.Topic.DESCRIPTOR.values_by_number[number]
    spec = value.GetOptions().Extensions[_SPEC]
    return Topic(spec.name, spec.partitions, tuple(spec.reader_groups))


def topic_of(envelope: type[Message]) -> Topic:
    """Return the topic whose values are of this message type."""
    return topic(envelope.DESCRIPTOR.GetOptions().Extensions[_TOPIC])


def all_topics() -> tuple[Topic, ...]:
    """Return every topic, in the order of the contract."""
    numbers = topics_pb2.Topic.DESCRIPTOR.values_by_number
    return tuple(topic(number) for number in numbers if number != topics_pb2.TOPIC_UNSPECIFIED)


def read_by(group: str) -> tuple[str, ...]:
    """Return the names of the topics that a consumer group reads.

    Raises ValueError if the contract has no topic for the group: unread records could be deleted.
    """
    names = tuple(each.name for each in all_topics() if group in each.reader_groups)
    if not names:
        raise ValueError(f"no topic of the contract has the reader group {group}")
    return names
