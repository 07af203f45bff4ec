"""Whether the brokers answer is asked by a new client, because a stuck one gets no answer."""

import pytest

from services.chassis.kafka import membership
from services.chassis.kafka.membership import Membership, brokers_answer
from tests.rigs.stores import KafkaStore


def test_only_running_brokers_answer(kafka: KafkaStore, monkeypatch: pytest.MonkeyPatch) -> None:
    assert brokers_answer(kafka.bootstrap)
    monkeypatch.setattr(membership, "ANSWER_S", 0.2)
    assert not brokers_answer("127.0.0.1:1")


@pytest.mark.parametrize("running", [True, False])
def test_a_consumer_outside_its_group_ends_its_process_only_while_the_brokers_answer(
    kafka: KafkaStore, monkeypatch: pytest.MonkeyPatch, running: bool
) -> None:
    ended: list[str] = []
    monkeypatch.setattr(membership, "ASKED_EVERY_S", 0.0)
    monkeypatch.setattr(membership, "end_process", lambda event, _seconds: ended.append(event))
    if not running:
        monkeypatch.setattr(membership, "ANSWER_S", 0.2)
    outside = Membership(kafka.bootstrap if running else "127.0.0.1:1", rejoin_s_max=0.0)
    outside.look()
    outside.look()
    assert ended == (["kafka.left_behind"] if running else [])
