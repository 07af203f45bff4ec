"""The speed of the host is measured without the tracing of coverage, which would triple it."""

import sys
from types import FrameType
from typing import Any

from tests.rigs.host_speed import yardstick_s


def test_the_yardstick_is_not_traced_and_tracing_continues_after_it() -> None:
    traced: list[str] = []

    def tracer(frame: FrameType, event: str, _argument: Any) -> Any:
        traced.append(event)
        return tracer

    before = sys.gettrace()
    sys.settrace(tracer)
    try:
        yardstick_s()
        during = traced.count("line")
        after = sys.gettrace()
    finally:
        sys.settrace(before)
    assert after is tracer
    # The lines up to the one that switches tracing off, and the last one.
    assert 0 < during < 10
