"""When callers that found the queue of passwords full come again: in turn, not all together. Pure.

A caller that comes while the queue is still full costs a handshake, a call and a refusal, and a
crowd of them takes the processor from other calls.
"""

import heapq
import math

RETRY_S_MAX = 60
EXPECTED_MAX = 10_000
"""A larger crowd is asked to come after RETRY_S_MAX anyway."""


class Crowd:
    """The callers that were asked to come later, and the times when they will."""

    def __init__(self) -> None:
        self._due: list[float] = []
        """A heap of times on the caller's clock, in seconds."""

    def retry_after_s(self, now: float, waiting: int, call_s: float) -> int:
        """Return after how many whole seconds one more caller finds a place, and expect it then.

        `waiting` calls are in the queue now, and one ends every `call_s` seconds.
        """
        while self._due and self._due[0] <= now:
            heapq.heappop(self._due)
        before = waiting + len(self._due)
        wait_s = min(max(math.ceil(before * call_s), 1), RETRY_S_MAX)
        if len(self._due) < EXPECTED_MAX:
            heapq.heappush(self._due, now + wait_s)
        return wait_s
