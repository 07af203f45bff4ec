"""The lowest of four bounds decides up to where the records of a partition are deleted, and an
outage of Kafka ends the round."""

import asyncio
from datetime import timedelta

import pytest

from ops.waiting import scaled_s
from services.chassis.kafka import Trimmer, retention
from services.chassis.kafka.retention import Reach
from services.contracts.topics import Topic


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
