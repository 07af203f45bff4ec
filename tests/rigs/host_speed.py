"""Measures how slow this host is compared with the documented one, and scales all deadlines.

A deadline only catches a hang, so it is generous: three times what the documented host needs when
it is idle, times the measured slowness of this host, which includes its other work.
"""

import os
import time

import pytest
from hypothesis import HealthCheck, settings

from ops.waiting import FACTOR_VARIABLE, scaled_s

DOCUMENTED_S = 0.30
"""Seconds of the yardstick on the documented host (docs/performance.md) when it is idle."""
GENEROSITY = 3.0
SLOWNESS_MAX = 4.0
"""Above this, a deadline would catch no hang within the time that a session may take."""
_ROUNDS = 200
_ADDITIONS = 100_000


def set_deadline_factor() -> None:
    """Measure once a session and export the factor to all its processes; keep one already set."""
    if FACTOR_VARIABLE not in os.environ:
        slowness = min(max(yardstick_s() / DOCUMENTED_S, 1.0), SLOWNESS_MAX)
        os.environ[FACTOR_VARIABLE] = f"{GENEROSITY * slowness:.2f}"


def let_no_property_measure() -> None:
    """Disable hypothesis' time limits, so that no property fails because its host is slow."""
    settings.register_profile(
        "any host", deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )
    settings.load_profile("any host")


def yardstick_s() -> float:
    """Return the seconds of a fixed piece of work, long enough to show the host's other work."""
    begun = time.perf_counter()
    for _ in range(_ROUNDS):
        total = 0
        for number in range(_ADDITIONS):
            total += number
    return time.perf_counter() - begun


def scale_timeouts(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Scale each test's timeout: the marker's, else the ini file's."""
    default = float(config.getini("timeout"))
    for item in items:
        marker = item.get_closest_marker("timeout")
        given = (*marker.args, *marker.kwargs.values()) if marker else (default,)
        seconds = float(given[0])
        item.add_marker(pytest.mark.timeout(scaled_s(seconds)), append=False)
