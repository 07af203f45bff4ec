"""The lowest of four bounds decides up to where the records of a partition are deleted, and an
outage of Kafka ends the round."""

import asyncio
import threading
from datetime import timedelta

import pytest
from confluent_kafka import KafkaError, KafkaException

from ops.waiting import scaled_s
from services.chassis.kafka import Trimmer, retention
from services.chassis.kafka.retention import Reach
from services.contracts.topics import Topic
from services.kernel.clock import utc_now


@pytest.mark.parametrize(
    ("reach", "end"),
    [
        (Reach(low=0, read=10, aged=10), 10),
        (Reach(low=0, read=3, aged=10), 3),
        (Reach(low=0, read=10, aged=3), 3),
        (Reach(low=3, read=3, aged=10), None),
        (Reach(low=5, read=0, aged=10), None),
        (Reach(low=0, read=10, aged=10, limit=10), 10),
        (Reach(low=0, read=10, aged=10, limit=3), 3),
        (Reach(low=0, read=3, aged=10, limit=10), 3),
        (Reach(low=0, read=10, aged=3, limit=10), 3),
        (Reach(low=3, read=10, aged=10, limit=3), None),
    ],
)
def test_the_earliest_bound_decides(reach: Reach, end: int | None) -> None:
    assert reach.deletable() == end


TOPIC = Topic("kept", 12, ("fast", "slow"))
NOBODY = "127.0.0.1:1"
ALL = dict.fromkeys(range(TOPIC.partitions), 5)


@pytest.mark.parametrize("limits", [None, ALL])
async def test_an_outage_ends_the_round_at_the_first_partition(
    monkeypatch: pytest.MonkeyPatch, limits: dict[int, int] | None
) -> None:
    """The caller then retries within seconds. Otherwise each partition would wait for Kafka, and
    the caller would wait an hour for the next round."""
    monkeypatch.setattr(retention, "TIMEOUT_S", 0.3)
    monkeypatch.setattr(retention, "ATTEMPT_S", 0.1)
    with pytest.raises(ConnectionError):
        await Trimmer(NOBODY, timedelta()).trim([TOPIC], limits)


def test_a_thread_whose_caller_was_cancelled_stops_asking(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A process that stops waits for its threads, as `asyncio.run` does."""
    monkeypatch.setattr(retention, "TIMEOUT_S", 3600.0)
    monkeypatch.setattr(retention, "ATTEMPT_S", 0.1)

    async def begin_and_cancel() -> None:
        trimming = asyncio.create_task(Trimmer(NOBODY, timedelta()).trim([TOPIC], ALL))
        await asyncio.wait([trimming], timeout=scaled_s(0.3))
        trimming.cancel()
        with pytest.raises(asyncio.CancelledError):
            await trimming

    asyncio.run(begin_and_cancel())


def _answered(code: int, failures: int) -> tuple[str, int]:
    """Return the answer after some failed attempts, or the error's name, and the attempts."""
    attempts = 0

    def ask(_: float) -> str:
        nonlocal attempts
        attempts += 1
        if attempts <= failures:
            raise KafkaException(KafkaError(code))
        return "answer"

    reader = retention._Reader(NOBODY, utc_now(), threading.Event())
    try:
        return reader._answer(ask), attempts
    except KafkaException as error:
        return error.args[0].name(), attempts


@pytest.mark.parametrize("code", [KafkaError.NOT_COORDINATOR, KafkaError.LEADER_NOT_AVAILABLE])
def test_an_error_that_kafka_expects_to_pass_is_retried(
    monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """At a broker's first start, the group's coordinator moved, and every partition waited for the
    next round. The flag `retriable()` of such an error is False."""
    monkeypatch.setattr(retention, "PAUSE_S", 0.0)
    assert _answered(code, failures=2) == ("answer", 3)


def test_an_error_that_does_not_pass_is_not_retried() -> None:
    refused = KafkaError.GROUP_AUTHORIZATION_FAILED
    assert _answered(refused, failures=1) == ("GROUP_AUTHORIZATION_FAILED", 1)
