"""Whether a consumer is in its group, and when it has been outside for too long.

A client can stay outside for good when a broker that did not answer for some seconds is back: seen
with librdkafka 2.16 in two of four groups after a pause of five seconds on a machine whose disk
was busy. Nothing tells, records only wait. So the time is taken from when the brokers answer
again, and a process that is still outside ends, to be started anew.
"""

import os
import time
from dataclasses import dataclass
from typing import Any, NoReturn

import structlog
from confluent_kafka import KafkaException

ASKED_EVERY_S = 2.0
ANSWER_S = 1.0
LOOKED_EVERY_S_MAX = 20.0
"""Looks that lie farther apart were made by a process that was stopped in between."""
EXIT_STUCK = 70

log = structlog.get_logger()


@dataclass(slots=True)
class Membership:
    """A consumer's place in its group, from what its callbacks say."""

    rejoin_s_max: float
    """How long it may stay outside while the brokers answer."""
    inside: bool = False
    _since_s: float | None = None
    """Since when it has been outside although the brokers answered each time."""
    _next_s: float = 0.0
    _looked_s: float = 0.0

    def turn(self, inside: bool) -> None:
        """Note what a callback of the client says."""
        self.inside = inside
        self._since_s = None

    def is_due(self, now_s: float) -> bool:
        """Tell whether the brokers are to be asked; the next time is a while later."""
        if self.inside or now_s < self._next_s:
            return False
        self._next_s = now_s + ASKED_EVERY_S
        return True

    def outside_s(self, now_s: float, *, answered: bool) -> float:
        """Return for how long it has been outside while the brokers answered."""
        looked_s, self._looked_s = self._looked_s, now_s
        if not answered:
            self._since_s = None
        elif self._since_s is None or now_s - looked_s > LOOKED_EVERY_S_MAX:
            self._since_s = now_s
        return 0.0 if self._since_s is None else now_s - self._since_s

    def look(self, consumer: Any) -> None:
        """End the process when it is outside for too long; call it when nothing was read."""
        now_s = time.monotonic()
        if not self.is_due(now_s):
            return
        outside_s = self.outside_s(now_s, answered=_answers(consumer))
        if outside_s > self.rejoin_s_max:
            end_process("kafka.left_behind", outside_s)


def _answers(consumer: Any) -> bool:
    try:
        consumer.list_topics(timeout=ANSWER_S)
    except KafkaException:
        return False
    return True


def end_process(event: str, seconds: float) -> NoReturn:
    """End the process at once: a thread in a library that does not come back cannot be ended.

    The next process begins at what was committed, as after a crash.
    """
    log.error(event, seconds=round(seconds))
    os._exit(EXIT_STUCK)
