"""The router's behaviour when its Kafka client fails, tested with a fake client."""

import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from services.chassis import kafka
from services.chassis.kafka import membership
from services.router import pipe
from services.router.settings import RouterSettings

AGAIN = KafkaException(KafkaError(KafkaError._TIMED_OUT, "timed out", retriable=True))


class Client:
    """A fake producer whose calls fail until a given number of producers have been created."""

    made: int = 0

    def __init__(self, settles_from: int) -> None:
        self._settles = Client.made >= settles_from
        Client.made += 1

    def init_transactions(self, _: float) -> None:
        if not self._settles:
            raise AGAIN


@pytest.fixture
def router(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], pipe.Pipe]:
    """A router whose producers fail before the one with a given number."""
    settings = RouterSettings.model_construct(
        service="router",
        slot="0",
        kafka_bootstrap="",
        batch_rows_max=1,
        batch_linger_ms=1,
        rejoin_s_max=30.0,
        transaction_timeout_ms=1,
    )
    monkeypatch.setattr(Client, "made", 0)
    monkeypatch.setattr(pipe, "BACKOFF_S", 0.0)

    def made(settles_from: int) -> pipe.Pipe:
        monkeypatch.setattr(pipe, "Producer", lambda *_, **__: Client(settles_from))
        return pipe.Pipe(settings, threading.Event(), kafka.Health())

    return made


def test_a_producer_that_could_not_settle_is_not_asked_again(
    router: Callable[[int], pipe.Pipe],
) -> None:
    """Such a producer waits for a coordinator that no longer exists, even after the brokers are
    back."""
    stuck = router(3)
    stuck._writer.renew(stuck._until_done)
    assert Client.made == 4


def test_a_call_that_is_in_vain_while_the_brokers_answer_ends_the_process(
    router: Callable[[int], pipe.Pipe], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock_s = [0.0]

    class Ended(Exception):
        pass

    def end(event: str, seconds: float) -> Any:
        raise Ended(event, round(seconds))

    def in_vain(_: float) -> None:
        clock_s[0] += pipe.CALL_TIMEOUT_S
        raise AGAIN

    monkeypatch.setattr(membership, "time", SimpleNamespace(monotonic=lambda: clock_s[0]))
    monkeypatch.setattr(membership, "end_process", end)
    monkeypatch.setattr(membership, "brokers_answer", lambda _bootstrap: True)
    with pytest.raises(Ended) as ended:
        router(0)._until_done(in_vain, pipe.CALL_TIMEOUT_S)
    assert ended.value.args == ("kafka.left_behind", 40)
