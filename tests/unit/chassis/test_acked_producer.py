"""A producer that Kafka has put out of action for good is not asked again."""

import ctypes
from pathlib import Path

import confluent_kafka
import pytest
from confluent_kafka import KafkaError, KafkaException

from services.chassis.kafka_producer import AckedProducer, OutgoingMessage

MESSAGE = OutgoingMessage("payments", b"key", b"value", ())


def _put_out_of_action(producer: AckedProducer) -> None:
    """Raise a fatal error by the client library's own means for tests (rdkafka.h)."""
    folder = Path(confluent_kafka.__file__).parent.with_name("confluent_kafka.libs")
    library = ctypes.CDLL(str(next(folder.glob("librdkafka*"))))
    head_of_object = ctypes.sizeof(ctypes.c_void_p) * 2
    client = ctypes.c_void_p.from_address(id(producer._producer) + head_of_object)
    code = KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER
    assert library.rd_kafka_test_fatal_error(client, code, b"as if a broker had lost data") == 0


async def test_a_fatal_error_is_raised_so_that_a_fresh_producer_takes_over() -> None:
    """The client refuses every message from then on: told as refusals, the relay repeats the
    same batch for ever."""
    producer = AckedProducer("127.0.0.1:1", "test")
    _put_out_of_action(producer)
    with pytest.raises(KafkaException) as raised:
        await producer.send_all([MESSAGE])
    assert raised.value.args[0].fatal()
    producer.close()
