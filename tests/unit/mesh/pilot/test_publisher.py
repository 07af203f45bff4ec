"""The publisher: in order, again after a failure, and nothing that it meets ends it."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from mesh.pilot import publisher
from mesh.pilot.history import Entry, History, Origin, Revision
from mesh.pilot.outbox import Outbox
from mesh.pilot.publisher import NotSent, Publisher, pause_s
from mesh.pilot.revision_event import Message, event_id_of, id_in
from ops.waiting import until

ENTRY = Entry("ana", "a test", Origin.APPLY)


@dataclass
class Broker:
    """Takes messages, or refuses them with an error."""

    taken: list[str] = field(default_factory=list[str])
    refuses: Exception | None = None
    tries: int = 0

    async def send(self, message: Message) -> None:
        """Take a message."""
        self.tries += 1
        await asyncio.sleep(0)
        if self.refuses is not None:
            raise self.refuses
        self.taken.append(id_in(message.value))

    async def close(self) -> None:
        """Nothing is open."""


@dataclass
class Bank:
    """A history, and a publisher of it."""

    folder: Path
    broker: Broker = field(default_factory=Broker)

    def __post_init__(self) -> None:
        self.history = History(self.folder)

    def revise(self) -> Revision:
        """Put another revision in force."""
        body = f"kind: A\nn: {len(self.history.numbers())}\n".encode()
        return self.history.record({"mesh.yaml": body}, ENTRY, pending=False)

    def publisher(self) -> Publisher:
        """Return the publisher of a new process."""
        return Publisher(Outbox(self.history, self.folder), self.broker, self.history.latest)


@pytest.fixture
def bank(tmp_path: Path) -> Bank:
    """A bank without a revision."""
    return Bank(tmp_path)


async def test_each_revision_is_sent_in_order(bank: Bank) -> None:
    publishing = bank.publisher()
    await publishing.publish()
    made = [event_id_of(bank.revise()) for _ in range(3)]
    await publishing.publish()
    await publishing.publish()
    assert bank.broker.taken == made
    assert await publishing.progress() == {"published": 3, "waiting": 0, "error": ""}


async def test_a_process_that_ended_before_the_acknowledgement_sends_after_its_restart(
    bank: Bank,
) -> None:
    made = [event_id_of(bank.revise()) for _ in range(2)]
    bank.broker.refuses = NotSent("away")
    with pytest.raises(NotSent):
        await bank.publisher().publish()
    bank.broker.refuses = None
    await bank.publisher().publish()
    assert bank.broker.taken == made


@pytest.mark.parametrize(
    "error", [NotSent("away"), OSError("full"), RuntimeError("a defect"), KeyError("a defect")]
)
async def test_a_failure_delays_the_events_and_ends_nothing(
    bank: Bank, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(publisher, "PAUSE_S", 0.001)
    monkeypatch.setattr(publisher, "POLL_S", 0.001)
    bank.broker.refuses = error
    made = [event_id_of(bank.revise()) for _ in range(2)]
    publishing = bank.publisher()
    running = asyncio.create_task(publishing.run())

    async def tried() -> bool:
        return bank.broker.tries >= 3

    await until(tried, what="it tries again")
    found = await publishing.progress()
    assert (found["published"], found["waiting"]) == (0, 2)
    assert str(error) in found["error"]
    bank.broker.refuses = None

    async def taken() -> bool:
        return bank.broker.taken == made

    await until(taken, what="both are sent")
    assert not running.done()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


@pytest.mark.parametrize(
    ("failures", "least", "most"),
    [(1, 0.25, 0.5), (3, 1.0, 2.0), (7, 2.5, 5.0), (999, 2.5, 5.0)],
)
def test_pauses_grow_up_to_a_limit_and_are_random(failures: int, least: float, most: float) -> None:
    assert (pause_s(failures, 0.0), pause_s(failures, 1.0)) == (least, most)
