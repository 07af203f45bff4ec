"""After a failure, a session shows it immediately and uses shorter deadlines.

A test's deadline is ten times as long as needed (host_speed). If a part of the bank hangs, each of
the following tests would wait that long, and CI would end the session before it shows the first
failure. So a failure is printed when it happens, later deadlines are shorter, and a session that
takes too long ends itself.
"""

import os
import time
from collections.abc import Generator

import pytest

from ops.waiting import FACTOR_VARIABLE
from tests.rigs.host_speed import factor_after_a_failure, scaled_timeout_s

SESSION_MAX_S = 70 * 60.0
"""CI stops at 90 minutes; set-up, `make check` and the last running test come on top of this."""
MESSAGE_MAX = 300
"""The largest number of characters of a failure that are shown immediately."""


class Failures:
    """A pytest plugin for a session and for each of its workers."""

    def __init__(self, config: pytest.Config, session_max_s: float = SESSION_MAX_S) -> None:
        self._config = config
        self._session_max_s = session_max_s
        self._begun_s = time.monotonic()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Set the test's timeout before the plugin that enforces it reads it."""
        timeout_s = scaled_timeout_s(item)
        if timeout_s is not None:
            item.add_marker(pytest.mark.timeout(timeout_s), append=False)
        result = yield
        if time.monotonic() - self._begun_s > self._session_max_s:
            item.session.shouldfail = f"the session took over {self._session_max_s / 60:g} minutes"
        return result

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Show a failure, and shorten the deadlines of the tests after it."""
        if not report.failed:
            return
        os.environ[FACTOR_VARIABLE] = factor_after_a_failure()
        reporter = self._config.pluginmanager.get_plugin("terminalreporter")
        if reporter is None or hasattr(self._config, "workerinput"):
            return
        crash = getattr(report.longrepr, "reprcrash", None)
        message = crash.message if crash is not None else report.longreprtext
        reporter.ensure_newline()
        reporter.write_line(f"{report.when} of {report.nodeid}: {message[:MESSAGE_MAX]}")
