"""A service with a wrong clock: `python -m tests.chaos.stores.skewed SECONDS services.payments`.

For tests only. Only the time of day is wrong; monotonic time is correct.
"""

import importlib
import runpy
import sys
import time
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

from services.kernel import clock


def shift(seconds: int) -> None:
    """Shift the time of day by some seconds for every later reader.

    Call this before the service is imported: its modules import `utc_now` by name.
    """
    real_now, real_time, real_time_ns = clock.utc_now, time.time, time.time_ns

    def shifted_now() -> datetime:
        return real_now() + timedelta(seconds=seconds)

    def shifted_time() -> float:
        return real_time() + seconds

    def shifted_time_ns() -> int:
        return real_time_ns() + seconds * 1_000_000_000

    # gRPC converts a timeout to a deadline by Python's clock, and checks it by the machine's.
    deadlines: Any = importlib.import_module("grpc.aio._utils")
    deadlines.time = SimpleNamespace(time=real_time)
    clock.utc_now = shifted_now
    time.time = shifted_time
    time.time_ns = shifted_time_ns


if __name__ == "__main__":
    _, seconds, service = sys.argv
    shift(int(seconds))
    runpy.run_module(service, run_name="__main__", alter_sys=True)
