"""Tests pass on a slow or busy host: none measures time, and each deadline scales with the host.

A test asserts an order, a count or a ratio; a deadline only catches a hang (ops/waiting.py).
"""

import ast
from collections.abc import Iterator

import pytest

from tests.architecture.sources import Module, modules

CLOCKS = frozenset(
    name + unit
    for name in ("monotonic", "perf_counter", "process_time", "thread_time")
    for unit in ("", "_ns")
)
MAY_READ_A_CLOCK = {
    "rigs/host_speed.py": "measures the host once, which all deadlines follow",
    "rigs/failures.py": "ends a session that takes over an hour, so that it still reports",
    "chaos/every_commit/faults.py": "ends a wait for something that may rightly not come",
    "chaos/every_commit/transfer_run.py": "decides when a request is repeated",
    "chaos/stores/test_kafka.py": "keeps a stranger in a group for some seconds",
    "contract/mesh/conftest.py": "for lower bounds: not before its time",
    "rigs/mesh/breaker.py": "for lower bounds: not before its time",
    "rigs/mesh/partner_experiments.py": "for lower bounds: not before its time",
    "rigs/mesh/scripted_partner.py": "for lower bounds: not before its time",
    "contract/partners/test_faults.py": "for a lower bound: not before its time",
}
"""Exempt files under tests/, each with the reason why it cannot fail on a slow host."""

SCALES = frozenset({"scaled_s", "call_timeout"})
"""Functions whose result scales with the host."""
WAITED_OUT = frozenset({"SILENCE_S"})
"""Waits that always last their full time, so they need not scale."""
PLACES = {"timeout": 0, "timeout_at": 0, "wait_for": 1, "flush": 0}
"""Functions that wait, each with the position of its deadline among the arguments."""
WORDS = frozenset({"timeout", "request_timeout"})
"""Keyword arguments of other libraries that are deadlines."""


def _tests() -> Iterator[Module]:
    return (
        module
        for module in modules()
        if module.path.parts[0] == "tests" and module.path.name != "test_deadlines.py"
    )


def _calls(tree: ast.AST) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def _name(call: ast.Call) -> str:
    function = call.func
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def _reads_a_clock(call: ast.Call) -> bool:
    of_loop = isinstance(call.func, ast.Attribute) and "loop" in ast.unparse(call.func.value)
    return _name(call) in CLOCKS or (_name(call) == "time" and of_loop)


def _fixed_deadlines(call: ast.Call) -> Iterator[ast.expr]:
    """Yield the deadlines of a call that do not scale with the host."""
    if ast.unparse(call.func) == "pytest.mark.timeout":
        return iter(())  # tests/rigs/failures.py scales it
    place = PLACES.get(_name(call))
    given = [word.value for word in call.keywords if word.arg in WORDS]
    if place is not None and len(call.args) > place:
        given.append(call.args[place])
    return (deadline for deadline in given if not _scales(deadline))


def _scales(deadline: ast.expr) -> bool:
    """Return whether a deadline is scaled, not a number, or a variable that the caller scaled."""
    if isinstance(deadline, ast.Constant):
        return not isinstance(deadline.value, int | float)
    if isinstance(deadline, ast.Name | ast.Attribute):
        name = ast.unparse(deadline).rpartition(".")[2]
        return name in WAITED_OUT or not name.isupper()
    return bool(SCALES & {_name(call) for call in _calls(deadline)}) or not any(
        isinstance(node, ast.Constant) and isinstance(node.value, int | float)
        for node in ast.walk(deadline)
    )


def test_no_test_reads_a_clock_that_measures() -> None:
    reading = [
        f"{module.path}:{call.lineno} {_name(call)}"
        for module in _tests()
        if str(module.path.relative_to("tests")) not in MAY_READ_A_CLOCK
        for call in _calls(module.tree)
        if _reads_a_clock(call)
    ]
    assert reading == []


def test_every_deadline_of_a_test_scales_with_the_host() -> None:
    fixed = [
        f"{module.path}:{call.lineno} {ast.unparse(deadline)}"
        for module in _tests()
        for call in _calls(module.tree)
        for deadline in _fixed_deadlines(call)
    ]
    assert fixed == []


@pytest.mark.parametrize(
    "code",
    [
        "asyncio.timeout(5)",
        "timeout(5)",
        "wait_for(work, 5)",
        "asyncio.wait_for(work, WITHIN_S)",
        "process.wait(timeout=float(5))",
        "producer.flush(20)",
        "admin.describe(request_timeout=min(5, 10))",
        "producer.flush(2 * WITHIN_S)",
    ],
)
def test_a_fixed_deadline_is_found(code: str) -> None:
    assert [deadline for call in _calls(ast.parse(code)) for deadline in _fixed_deadlines(call)]


@pytest.mark.parametrize(
    "code",
    ["asyncio.timeout(scaled_s(5))", "f(timeout=2 * scaled_s(WITHIN_S))", "f(timeout=given)"],
)
def test_a_deadline_that_follows_the_host_is_let_through(code: str) -> None:
    assert not [deadline for call in _calls(ast.parse(code)) for deadline in _fixed_deadlines(call)]


@pytest.mark.parametrize(
    "code", ["time.monotonic()", "perf_counter_ns()", "asyncio.get_running_loop().time()"]
)
def test_a_clock_is_found(code: str) -> None:
    assert any(_reads_a_clock(call) for call in _calls(ast.parse(code)))
