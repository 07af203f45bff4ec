"""Measures how slow this host is compared with the documented one, and scales every deadline.

A deadline only catches a hang and costs nothing in a test that passes, so it is very generous: ten
times the need of the idle documented host, twelve times on a slower one. A passing test waits out
some times to their end, such as a lease: these are three times as long as on the idle documented
host, and longer on a host that is slow now.
"""

import os
import sys
import time

import pytest
from hypothesis import HealthCheck, settings

from ops.waiting import FACTOR_VARIABLE, scaled_s

DOCUMENTED_S = 0.30
"""Seconds of the yardstick on the documented host (docs/performance.md) when it is quiet."""
GENEROSITY = 10.0
GENEROSITY_AFTER_A_FAILURE = 3.0
FACTOR_MAX = 12.0
"""A test of five minutes' timeout then hangs for an hour; more would be longer than CI waits."""
WAITED_OUT = 3.0
SLOWNESS_MAX = 4.0
"""Waits that are longer would make the session too long."""
_SLOWNESS_VARIABLE = "BP_TEST_SLOWNESS"
_ROUNDS = 200
_ADDITIONS = 100_000


def set_deadline_factor() -> None:
    """Measure once per session and set both factors for all its processes, unless they are set."""
    if _SLOWNESS_VARIABLE not in os.environ:
        measured = min(max(yardstick_s() / DOCUMENTED_S, 1.0), SLOWNESS_MAX)
        os.environ[_SLOWNESS_VARIABLE] = f"{measured:.2f}"
    slowness = float(os.environ[_SLOWNESS_VARIABLE])
    os.environ.setdefault(FACTOR_VARIABLE, f"{min(GENEROSITY * slowness, FACTOR_MAX):.2f}")


def waited_out_s(seconds: float) -> float:
    """Return the length of a time that a test waits out, such as a lease that has to expire.

    It is long enough that healthy work on this host ends within it.
    """
    return seconds * WAITED_OUT * float(os.environ[_SLOWNESS_VARIABLE])


def let_no_property_measure() -> None:
    """Disable the failures of property tests that run or generate examples slowly."""
    settings.register_profile(
        "any host", deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )
    settings.load_profile("any host")


def yardstick_s() -> float:
    """Time a fixed piece of work in seconds, long enough to compete with the host's other work.

    Coverage is off meanwhile: it makes this loop three times slower, and the bank much less.
    """
    tracer = sys.gettrace()
    sys.settrace(None)
    try:
        begun = time.perf_counter()
        for _ in range(_ROUNDS):
            total = 0
            for number in range(_ADDITIONS):
                total += number
        return time.perf_counter() - begun
    finally:
        sys.settrace(tracer)


def factor_after_a_failure() -> str:
    """Return the factor of deadlines, as a setting, once a test of the session has failed."""
    slowness = float(os.environ[_SLOWNESS_VARIABLE])
    return f"{min(GENEROSITY_AFTER_A_FAILURE * slowness, FACTOR_MAX):.2f}"


def scaled_timeout_s(item: pytest.Item) -> float | None:
    """Return the timeout of a test on this host: from its marker or else the ini file, scaled.

    None if a timeout is given on the command line, which is not scaled.
    """
    if item.config.getoption("timeout", None) is not None:
        return None
    marker = item.get_closest_marker("timeout")
    default = (float(item.config.getini("timeout")),)
    given = (*marker.args, *marker.kwargs.values()) if marker else default
    return scaled_s(float(given[0]))
