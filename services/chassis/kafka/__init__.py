"""Kafka as every service uses it: settings, records, and the loop that consumes in batches.

Delivery is at least once: offsets are committed after the effect, so handlers must be idempotent. A
bad message is parked in the dead-letter topic `<topic>.dlq` with the reason, and the group
continues. While a dependency is down, the group retries the same batch until it is back.
"""

from services.chassis.kafka.causes import BadMessage
from services.chassis.kafka.client import (
    Headers,
    Health,
    Place,
    Record,
    Subscription,
    client_logger,
    consumer_settings,
    next_offsets,
    producer_settings,
    rewind,
    take,
    to_record,
    usable,
)
from services.chassis.kafka.dlq import (
    DependencyDown,
    Parked,
    is_down,
    is_too_large,
    parked,
)
from services.chassis.kafka.loop import Handler, consume
from services.chassis.kafka.producer import AckedProducer, OutgoingMessage, Receipt, Refusal
from services.chassis.kafka.retention import Trimmer

__all__ = [
    "AckedProducer",
    "BadMessage",
    "DependencyDown",
    "Handler",
    "Headers",
    "Health",
    "OutgoingMessage",
    "Parked",
    "Place",
    "Receipt",
    "Record",
    "Refusal",
    "Subscription",
    "Trimmer",
    "client_logger",
    "consume",
    "consumer_settings",
    "is_down",
    "is_too_large",
    "next_offsets",
    "parked",
    "producer_settings",
    "rewind",
    "take",
    "to_record",
    "usable",
]
