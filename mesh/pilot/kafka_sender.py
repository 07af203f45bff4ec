"""Sends the control plane's messages to Kafka. Only this module knows the client library.

The settings are those of the services' producers, which the mesh may not import. The connection
exists only while there is something to send.
"""

import asyncio
import logging
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from mesh.pilot import revision_event
from mesh.pilot.places import NAME
from mesh.pilot.publisher import NotSent

DELIVERY_S = 10.0
"""How long one attempt may take."""
LOOK_S = 0.2
"""How long the client's thread waits for an acknowledgement before it looks again."""

log = logging.getLogger("control-plane.kafka")


def settings(bootstrap: str) -> dict[str, Any]:
    """Return the producer's settings: every in-sync replica acknowledges; no retry duplicates."""
    return {
        "bootstrap.servers": bootstrap,
        "client.id": NAME,
        "acks": "all",
        "enable.idempotence": True,
        "partitioner": "murmur2_random",
        "allow.auto.create.topics": False,
        "linger.ms": 0,
        "delivery.timeout.ms": int(DELIVERY_S * 1000),
        "reconnect.backoff.ms": 100,
        "reconnect.backoff.max.ms": 2000,
        # The publisher logs that Kafka is down, once.
        "log_level": 0,
    }


class KafkaSender:
    """A producer that sends one message at a time, so that no later one overtakes it."""

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap
        self._producer: Producer | None = None

    async def send(self, message: revision_event.Message) -> None:
        """Return when every in-sync replica has the message. Raises NotSent."""
        answers: list[KafkaError | None] = []

        def delivered(error: KafkaError | None, _: Message) -> None:
            answers.append(error)

        try:
            producer = self._producer = self._producer or Producer(settings(self._bootstrap))
            producer.produce(
                message.topic,
                key=message.key,
                value=message.value,
                headers=list(message.headers),
                on_delivery=delivered,
            )
        except (KafkaException, BufferError) as error:
            raise NotSent(str(error)) from error
        while not answers:
            await asyncio.to_thread(producer.poll, LOOK_S)
        if (error := answers[0]) is not None:
            raise NotSent(f"{error.name()}: {error.str()}")

    async def close(self) -> None:
        """Drop a message without an acknowledgement, and close the connections."""
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.purge()
            await asyncio.to_thread(producer.flush, LOOK_S)
