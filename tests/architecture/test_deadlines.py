"""Tests hold on a slow or busy host: none measures time, and each deadline scales with the host.

A test asserts an order, a count or a ratio; a deadline only catches a hang (sandbox/waiting.py).
"""

import ast
from collections.abc import Iterator

from tests.architecture.sources import Module, modules

CLOCKS = frozenset({"monotonic", "perf_counter", "process_time", "thread_time"})
MAY_READ_A_CLOCK = {
    "rigs/host_speed.py": "measures the host once, which all deadlines follow",
    "chaos/product/faults.py": "ends a wait for something that may rightly not come",
    "chaos/product/transfer_run.py": "decides when a request is repeated",
    "chaos/stores/test_kafka.py": "keeps a stranger in a group for some seconds",
    "contract/mesh/conftest.py": "for lower bounds: not before its time",
    "contract/partners/test_faults.py": "for a lower bound: not before its time",
}
"""Files under tests/, and why none of them fails on a slow host for it."""
WAITED_OUT = frozenset({"SILENCE_S"})
"""Times that pass in full when all is well, so they need not scale."""
SCALING = "scaled_s"
DEADLINES = {"timeout": 0, "wait_for": 1}
"""Functions of asyncio -> the place of their deadline among the arguments."""


def _tests() -> Iterator[Module]:
    return (module for module in modules() if module.path.parts[0] == "tests")


def _calls(module: Module) -> Iterator[ast.Call]:
    return (node for node in ast.walk(module.tree) if isinstance(node, ast.Call))


def _name(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else ""


def test_no_test_reads_a_clock_that_measures() -> None:
    reading = [
        f"{module.path}:{call.lineno} {_name(call)}"
        for module in _tests()
        if str(module.path.relative_to("tests")) not in MAY_READ_A_CLOCK
        for call in _calls(module)
        if _name(call) in CLOCKS
    ]
    assert reading == []


def test_every_deadline_of_a_test_scales_with_the_host() -> None:
    fixed = [
        f"{module.path}:{call.lineno} {ast.unparse(deadline)}"
        for module in _tests()
        for call in _calls(module)
        for deadline in _deadlines(call)
        if not _scales(deadline)
    ]
    assert fixed == []


def _deadlines(call: ast.Call) -> Iterator[ast.expr]:
    """The deadlines of asyncio, and every `timeout=` of a call that waits for something real."""
    function = call.func
    if isinstance(function, ast.Attribute) and ast.unparse(function.value) == "asyncio":
        place = DEADLINES.get(function.attr)
        if place is not None and len(call.args) > place:
            yield call.args[place]
    yield from (word.value for word in call.keywords if word.arg == "timeout")


def _scales(deadline: ast.expr) -> bool:
    """Whether it is scaled, is none, or is a variable that its own caller answers for."""
    if isinstance(deadline, ast.Constant):
        return deadline.value is None
    if isinstance(deadline, ast.Name | ast.Attribute):
        name = ast.unparse(deadline).rpartition(".")[2]
        return name in WAITED_OUT or not name.isupper()
    return SCALING in ast.unparse(deadline) or isinstance(deadline, ast.Call)
