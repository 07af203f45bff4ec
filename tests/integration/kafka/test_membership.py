"""Whether the brokers answer is asked by a new client, because a stuck one gets no answer."""

import socket
from collections.abc import Iterator

import pytest

from ops.waiting import until_true
from services.chassis.kafka import membership
from services.chassis.kafka.membership import Membership
from tests.rigs.stores import KafkaStore


@pytest.fixture
def silent() -> Iterator[str]:
    """A broker that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The events with which the process would have ended; there is no pause between questions."""
    events: list[str] = []
    monkeypatch.setattr(membership, "ASKED_EVERY_S", 0.0)
    monkeypatch.setattr(membership, "end_process", lambda event, _seconds: events.append(event))
    return events


def _looked(outside: Membership, answers: int) -> None:
    """Look until so many questions are answered or given up."""
    for _ in range(answers):
        outside.look()
        until_true(lambda: not _is_asking(outside))
    outside.look()


def _is_asking(outside: Membership) -> bool:
    return outside._question is not None and outside._question.is_alive()


def test_a_consumer_outside_its_group_ends_its_process_while_the_brokers_answer(
    kafka: KafkaStore, ended: list[str]
) -> None:
    outside = Membership(kafka.bootstrap, rejoin_s_max=0.0)
    until_true(lambda: (outside.look(), ended)[1])
    assert ended[0] == "kafka.left_behind"


def test_time_without_an_answer_does_not_count(
    silent: str, ended: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(membership, "ANSWER_S", 0.2)
    for bootstrap in ("127.0.0.1:1", silent):
        outside = Membership(bootstrap, rejoin_s_max=0.0)
        _looked(outside, 2)
    assert ended == []


def test_no_look_waits_for_the_answer_and_at_most_one_question_is_open(
    silent: str, ended: list[str]
) -> None:
    outside = Membership(silent, rejoin_s_max=0.0)
    outside.look()
    asked = outside._question
    assert asked is not None
    for _ in range(3):
        outside.look()
        assert outside._question is asked
    assert _is_asking(outside)
    assert ended == []


class _Unanswered(membership._Question):
    """A question that never gets an answer, on a slow machine too."""

    def run(self) -> None:
        """Ask nothing."""


def test_a_late_answer_counts_as_none_and_each_answer_is_used_once() -> None:
    question = _Unanswered("", now_s=0.0)
    late_s = question.asked_s + membership.ANSWER_S
    assert [question.take(late_s + after_s) for after_s in (0, 0.1, 0.2)] == [None, False, None]
