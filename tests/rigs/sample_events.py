"""Sample events of payments, transfers, logins and the mesh, written to Kafka and read back."""

import uuid
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from typing import Any

from bp.auth.v1.auth_events_pb2 import AuthEvent
from bp.mesh.v1.mesh_events_pb2 import MeshEvent
from bp.payments.v1.payments_events_pb2 import PaymentEvent
from bp.transfers.v1.transfers_events_pb2 import TransferEvent
from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    Message,
    Producer,
    TopicPartition,
)
from google.protobuf.json_format import ParseDict

from ops.waiting import scaled_s
from services.chassis.kafka import producer_settings
from services.kernel.clock import utc_now
from services.kernel.ids import new_id

SESSION = "0199cccc-0000-7000-8000-000000000001"
DEVICE = "0199dddd-0000-7000-8000-000000000001"
LOGINS: dict[str, dict[str, Any]] = {
    "login_succeeded": {
        "session_id": SESSION,
        "device_id": DEVICE,
        "factors": ["PASSWORD", "SMS_CODE", "DEVICE_KEYS"],
    },
    "login_failed": {
        "factor": "PASSWORD",
        "reason": "CREDENTIALS_INVALID",
        "known_device": True,
        "refused_before": 3,
    },
    "login_locked": {"factor": "PASSWORD", "scope": "STRANGERS", "lock_s": 900},
    "login_unlocked": {"by": "OPERATOR", "os_user": "eva (uid 1000)", "note": "called us"},
    "device_added": {"device_id": DEVICE, "device_name": "Ana's iPhone"},
    "device_removed": {"device_id": DEVICE},
    "token_reused": {"session_id": SESSION, "device_id": DEVICE, "device_name": "Pixel 8"},
    "password_changed": {"reset": True},
    "factor_added": {"factor": "AUTHENTICATOR_APP"},
    "factor_removed": {"factor": "AUTHENTICATOR_APP"},
    "session_revoked": {"session_id": SESSION, "device_id": DEVICE, "cause": "LOGOUT"},
}
"""Each fact about logins, with sample content."""
WRITE_S = 60.0
"""How long an acknowledgement may take, including the restart of a killed broker."""


def payment(fact: str = "transfer_submitted", customer_id: str | None = None) -> PaymentEvent:
    event = PaymentEvent()
    event.metadata.event_id = str(new_id())
    event.metadata.aggregate_id = str(new_id())
    event.metadata.aggregate_version = 1
    event.metadata.customer_id = customer_id or str(uuid.uuid4())
    event.metadata.occur_time.GetCurrentTime()
    transfer = getattr(event, fact).transfer
    transfer.transfer_id = event.metadata.aggregate_id
    transfer.account_id = str(new_id())
    transfer.amount.currency_code = "USD"
    transfer.amount.minor_units = 123_456
    return event


def book_transfer() -> TransferEvent:
    event = TransferEvent()
    event.metadata.event_id = str(new_id())
    event.metadata.aggregate_id = str(new_id())
    event.metadata.customer_id = str(uuid.uuid4())
    event.metadata.occur_time.GetCurrentTime()
    posted = event.book_transfer_posted
    posted.destination_customer_id = str(uuid.uuid4())
    posted.transfer.transfer_id = event.metadata.aggregate_id
    posted.transfer.account_id = str(new_id())
    posted.transfer.amount.currency_code = "USD"
    posted.transfer.amount.minor_units = 5_00
    return event


def login(
    fact: str, customer_id: str | None = None, at: datetime | None = None, **content: Any
) -> AuthEvent:
    """Return an event about logins; `content` replaces fields of the sample."""
    event = AuthEvent()
    event.metadata.event_id = str(new_id())
    event.metadata.customer_id = str(uuid.uuid4()) if customer_id is None else customer_id
    event.metadata.aggregate_id = event.metadata.customer_id or str(new_id())
    event.metadata.occur_time.FromDatetime(at or utc_now())
    ParseDict(LOGINS[fact] | content, getattr(event, fact))
    return event


def revision(number: int, event_id: str = "") -> MeshEvent:
    """Return the event of a revision of the mesh's configuration."""
    event = MeshEvent()
    event.metadata.event_id = event_id or str(new_id())
    event.metadata.aggregate_id = "mesh-config"
    event.metadata.aggregate_version = number
    event.metadata.occur_time.GetCurrentTime()
    event.mesh_config_revised.revision = number
    event.mesh_config_revised.parent = number - 1
    event.mesh_config_revised.who = "eva"
    return event


def key_of(event: Any) -> str:
    """Return the account of a transfer; the customer of a login, or its attempt without one; the
    aggregate of a revision."""
    if isinstance(event, MeshEvent):
        return event.metadata.aggregate_id
    if isinstance(event, AuthEvent):
        return event.metadata.customer_id or event.metadata.aggregate_id
    return getattr(event, event.WhichOneof("event")).transfer.account_id


def headers_of(event: Any) -> list[tuple[str, str | bytes | None]]:
    fact = getattr(event, event.WhichOneof("event"))
    return [
        ("ce_specversion", b"1.0"),
        ("ce_id", event.metadata.event_id.encode()),
        ("ce_source", b"/bp/payments"),
        ("ce_type", fact.DESCRIPTOR.full_name.encode()),
        ("ce_subject", event.metadata.aggregate_id.encode()),
        ("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    ]


def write(bootstrap: str, topic: str, events: Iterable[Any]) -> None:
    """Write events, or raw bytes, and wait for the acknowledgements."""
    with _acknowledged(bootstrap) as produce:
        for event in events:
            if isinstance(event, bytes):
                produce(topic, value=event, key=b"poison", headers=[("ce_id", b"x")])
            else:
                key = key_of(event).encode()
                produce(topic, value=event.SerializeToString(), key=key, headers=headers_of(event))


def write_raw(bootstrap: str, topic: str, pairs: Iterable[tuple[bytes, bytes]]) -> None:
    """Write raw keys and values."""
    with _acknowledged(bootstrap) as produce:
        for key, value in pairs:
            produce(topic, value=value, key=key)


@contextmanager
def _acknowledged(bootstrap: str) -> Generator[Callable[..., None]]:
    """Yield a function that writes messages; fail if one of them is never acknowledged.

    A message that the client gives up counts as flushed: only its delivery report shows the loss.
    """
    limit_s = scaled_s(WRITE_S)
    producer = Producer(
        producer_settings(bootstrap, "test") | {"delivery.timeout.ms": int(limit_s * 1000)}
    )
    lost: list[KafkaError] = []

    def reported(error: KafkaError | None, _: Message) -> None:
        if error is not None:
            lost.append(error)

    yield partial(producer.produce, on_delivery=reported)
    assert producer.flush(limit_s) == 0
    assert not lost, lost


def read_all(bootstrap: str, topic: str) -> list[Message]:
    """Return the committed messages of a topic, in the order of each partition."""
    reader = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": f"test-{uuid.uuid4()}",
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            "log_level": 0,
            # The client reports a partition's end after an empty fetch, so no fetch may wait.
            "fetch.wait.max.ms": 10,
        }
    )
    partitions = reader.list_topics(topic, timeout=scaled_s(10)).topics[topic].partitions
    reader.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in partitions])
    found: list[Message] = []
    ended: set[int] = set()
    while len(ended) < len(partitions):
        for message in reader.consume(1000, 0.01):
            if message.error() is None:
                found.append(message)
            else:
                ended.add(message.partition() or 0)
    reader.close()
    return found


def header_of(message: Message, name: str) -> bytes:
    """Return the value of a header; fails when the message has none of this name."""
    value = dict(message.headers() or ())[name]
    assert isinstance(value, bytes)
    return value
