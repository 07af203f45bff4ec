"""The router's behaviour while its producer gets no answer."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NoReturn

import pytest
from confluent_kafka import KafkaError, KafkaException, Producer

from ops.waiting import until_true
from services.chassis import kafka as chassis_kafka
from services.chassis.kafka import membership
from services.router import pipe
from services.router.settings import RouterSettings
from tests.rigs.stores import KafkaStore

AGAIN = KafkaException(KafkaError(KafkaError._TIMED_OUT, "timed out", retriable=True))


class Ended(Exception):
    """Stands for the end of the process, which tests/integration/router/test_router.py shows."""


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Producer]:
    """The producers that were asked to settle the slot's last transaction, in order."""
    producers: list[Producer] = []

    class Noted(Producer):
        def init_transactions(self, *args: Any, **kwargs: Any) -> None:
            producers.append(self)
            super().init_transactions(*args, **kwargs)

    monkeypatch.setattr(pipe, "Producer", Noted)
    monkeypatch.setattr(pipe, "BACKOFF_S", 0.05)
    return producers


def _router(bootstrap: str, stop: threading.Event) -> pipe.Pipe:
    settings = RouterSettings.model_construct(
        service="router",
        slot="patient",
        kafka_bootstrap=bootstrap,
        batch_rows_max=1,
        batch_linger_ms=1,
        rejoin_s_max=0.5,
        transaction_timeout_ms=15_000,
    )
    return pipe.Pipe(settings, stop, chassis_kafka.Health())


def test_a_producer_that_could_not_settle_is_not_asked_again(
    asked: list[Producer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such a producer waits for a coordinator that no longer exists, even after the brokers are
    back."""
    monkeypatch.setattr(pipe, "CALL_TIMEOUT_S", 0.2)
    stop = threading.Event()
    router = _router("127.0.0.1:1", stop)
    with ThreadPoolExecutor(1) as pool:
        settling = pool.submit(router._writer.renew, router._until_done)
        try:
            until_true(lambda: len(asked) >= 3)
        finally:
            stop.set()
        with pytest.raises(pipe.Stopped):
            settling.result()
    assert len(set(map(id, asked))) == len(asked)


def test_a_producer_that_could_settle_is_kept(asked: list[Producer], kafka: KafkaStore) -> None:
    router = _router(kafka.bootstrap, threading.Event())
    router._writer.renew(router._until_done)
    assert asked[-1] is router._writer.producer


def test_a_call_without_success_while_the_brokers_answer_ends_the_process(
    kafka: KafkaStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def end(event: str, seconds: float) -> NoReturn:
        raise Ended(event, seconds)

    def failing(_: float) -> NoReturn:
        raise AGAIN

    monkeypatch.setattr(membership, "ASKED_EVERY_S", 0.0)
    monkeypatch.setattr(membership, "end_process", end)
    monkeypatch.setattr(pipe, "BACKOFF_S", 0.05)
    router = _router(kafka.bootstrap, threading.Event())
    with pytest.raises(Ended) as ended:
        router._until_done(failing, pipe.CALL_TIMEOUT_S)
    event, seconds = ended.value.args
    assert event == "kafka.left_behind"
    assert seconds > 0.5
