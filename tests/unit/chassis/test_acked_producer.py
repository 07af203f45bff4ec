"""A producer with a fatal error is replaced."""

import pytest
from confluent_kafka import KafkaError, KafkaException

from services.chassis.kafka import AckedProducer


async def test_a_fatal_error_is_raised_so_that_a_fresh_producer_takes_over() -> None:
    """After a fatal error the client refuses every message. If it returned refusals, the relay
    would retry the same batch forever."""
    producer = AckedProducer("127.0.0.1:1", "test")
    await producer.send_all([])
    code = KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER
    producer._note(KafkaError(code, "as if a broker had lost data", fatal=True))
    with pytest.raises(KafkaException) as raised:
        await producer.send_all([])
    assert raised.value.args[0].fatal()
    producer.close()
