"""Tracks whether a consumer is in its group, and how long it has been outside.

A client can stay outside its group forever after a broker did not answer for some seconds. This was
seen with librdkafka 2.16 in two of four groups, after a pause of five seconds on a machine with a
busy disk. There is no error; records just stop arriving. So this module measures how long a
consumer has been outside while the brokers answer. If that is too long, the process ends, and its
supervisor restarts it.

A new client asks the brokers, because a question to the stuck one can time out and then looks like
a broker that is down. When a router and an audit consumer stayed outside for twelve minutes, the
watch was asking their own clients.
"""

import os
import time
from dataclasses import dataclass
from typing import NoReturn

import structlog
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

ASKED_EVERY_S = 2.0
ANSWER_S = 5.0
"""Long enough for a broker on a busy machine; nobody waits for it but a consumer without work."""
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
    _next_s: float = 0.0
    _looked_s: float = 0.0

    def turn(self, inside: bool) -> None:
        """Record what a callback of the client reports."""
        self.inside = inside
        self._since_s = None

    def is_due(self, now_s: float) -> bool:
        """Return whether to ask the brokers; if so, set the time of the next check."""
        if self.inside or now_s < self._next_s:
            return False
        self._next_s = now_s + ASKED_EVERY_S
        return True

    def outside_s(self, now_s: float, *, answered: bool) -> float:
        """Return for how long the consumer has been outside while the brokers answered."""
        looked_s, self._looked_s = self._looked_s, now_s
        if not answered:
            self._since_s = None
        elif self._since_s is None or now_s - looked_s > LOOKED_EVERY_S_MAX:
            self._since_s = now_s
        return 0.0 if self._since_s is None else now_s - self._since_s

    def look(self) -> None:
        """End the process if the consumer is outside for too long; call it after an empty read."""
        now_s = time.monotonic()
        if not self.is_due(now_s):
            return
        outside_s = self.outside_s(now_s, answered=brokers_answer(self.bootstrap))
        if outside_s > self.rejoin_s_max:
            end_process("kafka.left_behind", outside_s)


def brokers_answer(bootstrap: str) -> bool:
    """Return whether the brokers answer a new client."""
    client = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    try:
        client.list_topics(timeout=ANSWER_S)
    except KafkaException:
        return False
    return True


def end_process(event: str, seconds: float) -> NoReturn:
    """End the process at once: a thread that is stuck in a library cannot be stopped.

    The next process starts at the committed offsets, as after a crash.
    """
    log.error(event, seconds=round(seconds))
    os._exit(EXIT_STUCK)
