"""Kafka as every service uses it: settings, records, and the loop that consumes in batches.

At least once: offsets are committed after the effect, so a handler must bear redelivery. A message
that is bad is parked in `<topic>.dlq` with the reason and the group goes on; a dependency that is
down is waited for, for ever.
"""

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
    BadMessage,
    DependencyDown,
    Parked,
    is_down,
    is_too_large,
    parked,
)
from services.chassis.kafka.loop import Handler, consume
from services.chassis.kafka.producer import AckedProducer, OutgoingMessage, Receipt, Refusal

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
