"""Tracks whether a consumer is in its group, and how long it has been outside.

A client can stay outside its group forever after a broker did not answer for some seconds. This was
seen with librdkafka 2.16 in two of four groups, after a pause of five seconds on a machine with a
busy disk. There is no error; records just stop arriving. So this module measures how long a
consumer has been outside while the brokers answer. If that is too long, the process ends, and its
supervisor restarts it.

A stuck client can time out although the brokers answer, so a new client asks them.
"""

import os
import threading
import time
from dataclasses import dataclass
from typing import NoReturn

import structlog
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

ASKED_EVERY_S = 2.0
ANSWER_S = 5.0
"""Long enough for a broker on a busy machine."""
LOOKED_EVERY_S_MAX = 20.0
"""A longer time between two checks means that the process was paused in between."""
EXIT_STUCK = 70

log = structlog.get_logger()


@dataclass(slots=True)
class Membership:
    """Tracks whether a consumer is in its group; the client's callbacks report it."""

    bootstrap: str
    """Kafka's bootstrap servers."""
    rejoin_s_max: float
    """How long the consumer may stay outside while the brokers answer."""
    inside: bool = False
    _since_s: float | None = None
    """When the consumer was first found outside; reset by a check without an answer."""
    _looked_s: float = 0.0
    _question: "_Question | None" = None
    """The last question. The next one is asked when its thread has ended: one is open at most."""

    def turn(self, inside: bool) -> None:
        """Record what a callback of the client reports."""
        self.inside = inside
        self._since_s = None

    def outside_s(self, now_s: float, *, answered: bool) -> float:
        """Return for how long the consumer has been outside while the brokers answered."""
        looked_s, self._looked_s = self._looked_s, now_s
        if not answered:
            self._since_s = None
        elif self._since_s is None or now_s - looked_s > LOOKED_EVERY_S_MAX:
            self._since_s = now_s
        return 0.0 if self._since_s is None else now_s - self._since_s

    def look(self) -> None:
        """End the process if the consumer is outside for too long; call it after an empty read.

        Never waits: it uses the answer to the last question and asks the next one.
        """
        if self.inside:
            return
        now_s = time.monotonic()
        if self._question is not None:
            answered = self._question.take(now_s)
            if answered is not None:
                outside_s = self.outside_s(now_s, answered=answered)
                if outside_s > self.rejoin_s_max:
                    end_process("kafka.left_behind", outside_s)
            if self._question.is_alive() or now_s < self._question.asked_s + ASKED_EVERY_S:
                return
        self._question = _Question(self.bootstrap, now_s)


class _Question(threading.Thread):
    """Asks the brokers once, with a new client.

    A thread, because closing a client waits for a name look-up that is still running.
    """

    def __init__(self, bootstrap: str, now_s: float) -> None:
        super().__init__(daemon=True, name="kafka-membership")
        self.asked_s = now_s
        self._brokers = bootstrap
        self._answered: bool | None = None
        self._taken = False
        self.start()

    def run(self) -> None:
        """Ask, and close the client afterwards."""
        client = AdminClient({"bootstrap.servers": self._brokers, "log_level": 0})
        try:
            client.list_topics(timeout=ANSWER_S)
        except KafkaException:
            self._answered = False
        else:
            self._answered = True

    def take(self, now_s: float) -> bool | None:
        """Return once whether the brokers answered in time; None before and afterwards."""
        answered = self._answered
        if self._taken or (answered is None and now_s - self.asked_s <= ANSWER_S):
            return None
        self._taken = True
        return bool(answered)


def end_process(event: str, seconds: float) -> NoReturn:
    """End the process at once: a thread that is stuck in a library cannot be stopped.

    The next process starts at the committed offsets, as after a crash.
    """
    log.error(event, seconds=round(seconds))
    os._exit(EXIT_STUCK)
