"""How many calls of a canary fail, from answers of Envoy."""

import json

import pytest
import typer

from ops.bpctl.mesh import canary, canary_watch, draining, pilot, rates
from ops.bpctl.mesh.canary_text import Canary
from ops.bpctl.mesh.canary_watch import Limits
from ops.bpctl.mesh.rates import Calls

CLUSTER = "service/customers/v2"


def answer(**values: int) -> str:
    """Return counters as a proxy shows them."""
    stats = [{"name": f"cluster.{CLUSTER}.{name}", "value": each} for name, each in values.items()]
    return json.dumps({"stats": [*stats, {"name": "other", "value": 7}, {"histograms": {}}]})


def test_the_calls_of_all_callers_are_added() -> None:
    """A caller without a call has no counters yet."""
    answers = [answer(upstream_rq_completed=10, upstream_rq_5xx=2), answer()]
    answers.append(answer(upstream_rq_completed=5))
    assert rates.of_callers(answers, CLUSTER) == Calls(15, 2)


def test_failures_of_grpc_count_by_the_proxy_of_the_instance() -> None:
    """Answers to a caller's mistake are no failures, and neither is a failed HTTP status: the
    callers have counted it."""
    text = "\n".join(
        (
            "# TYPE envoy_calls_total counter",
            'envoy_calls_total{caller="a",method="/m",outcome="200/0"} 90',
            'envoy_calls_total{caller="a",method="/m",outcome="200/14"} 3',
            'envoy_calls_total{caller="b",method="/n",outcome="200/5"} 8',
            'envoy_calls_total{caller="b",method="/n",outcome="503/14"} 4',
            'envoy_calls_total{caller="-",method="",outcome="200/-"} 4',
        )
    )
    assert rates.of_instances([text, ""], "customers") == 3


OWN, CALLER, GATEWAY = (f"spiffe://bp.internal/ns/bp/sa/{e}" for e in ("customers", "p", "gateway"))


def counted(caller: str, outcome: str, number: int) -> str:
    """Return a counter of the proxy of an instance."""
    return f'envoy_calls_total{{caller="{caller}",method="/m",outcome="{outcome}"}} {number}'


def test_failures_of_services_that_the_canary_calls_are_not_its_own() -> None:
    """Regression: its proxy counts them too, so they rolled a good canary back."""
    text = "\n".join((counted(OWN, "200/14", 5), counted(OWN, "0/-", 6)))
    assert rates.of_instances([text], "customers") == 0
    assert rates.unanswered([text], "customers") == Calls()


def test_calls_that_wait_until_the_deadlines_of_their_callers_have_failed() -> None:
    """Regression: a canary that hangs had no failures. A call of the gateway that ends so belongs
    to a customer who has left; if the gateway's own time is up, its proxy has counted a 504."""
    text = "\n".join(
        (counted(CALLER, "200/0", 90), counted(CALLER, "0/-", 4), counted(GATEWAY, "0/-", 7))
    )
    hanging = rates.unanswered([text, counted(CALLER, "0/", 1)], "customers")
    assert hanging == Calls(5, 5)
    assert canary_watch.is_too_bad(hanging, 1.0)


def test_only_enough_calls_of_a_step_roll_it_back() -> None:
    """One failure of two says nothing; a restarted proxy does not make the calls negative."""
    assert Calls(30, 3).since(Calls(20, 1)) == Calls(10, 2)
    assert Calls(3, 0).since(Calls(20, 1)) == Calls(0, 0)
    assert Calls().percent == 0
    assert not canary_watch.is_too_bad(Calls(2, 1), 1.0)
    assert canary_watch.is_too_bad(Calls(100, 2), 1.0)
    assert not canary_watch.is_too_bad(Calls(100, 1), 1.0)


@pytest.mark.parametrize(
    ("total", "failed", "threshold", "too_bad"),
    [
        (1, 1, 1.0, False),  # 1 % probable
        (2, 2, 1.0, True),
        (5, 5, 1.0, True),
        (5, 2, 1.0, True),
        (19, 1, 1.0, False),
        (19, 2, 5.0, False),
        (5, 3, 5.0, True),
        (3, 1, 0.0, True),
        (5, 5, 100.0, False),
        (0, 0, 0.0, False),
        (20, 1, 1.0, True),
    ],
)
def test_failures_among_few_calls_roll_back_if_chance_does_not_explain_them(
    total: int, failed: int, threshold: float, too_bad: bool
) -> None:
    """Five failures of five calls once waited for fifteen more."""
    assert canary_watch.is_too_bad(Calls(total, failed), threshold) == too_bad


@pytest.mark.parametrize(
    ("total", "failed", "passed_s", "left_s"),
    [
        (50, 0, 10.0, 20.0),  # enough calls: the whole --every
        (50, 0, 31.0, 0.0),
        (5, 0, 31.0, 569.0),  # too few: until --longest
        (5, 0, 600.0, 0.0),
        (50, 25, 1.0, 0.0),  # too bad: at once
        (5, 5, 1.0, 0.0),
    ],
)
def test_a_step_with_few_calls_is_watched_longer(
    total: int, failed: int, passed_s: float, left_s: float
) -> None:
    """A step once went on to the next weight without a single call."""
    limits = Limits(every_s=30.0, longest_s=600.0, threshold_percent=1.0)
    assert canary_watch.left(limits, Calls(total, failed), passed_s) == left_s


def watched(monkeypatch: pytest.MonkeyPatch, min_calls: int) -> None:
    """Watch a step in which the canary gets five calls."""
    seen = iter([100, 105])
    monkeypatch.setattr(canary_watch, "sample", lambda *_: Calls(next(seen), 0))
    monkeypatch.setattr(draining, "instances", lambda _: [])
    step, limits = Canary("customers", "v1", "v2", 10), Limits(0.0, 0.0, 1.0, min_calls)
    canary._watched(step, limits, canary._How(1.0, force=False), as_json=False)


def test_a_step_with_too_few_calls_is_not_followed_by_the_next_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The command says it and ends with exit code 7; the SRE decides about the next step."""
    with pytest.raises(typer.Exit) as ended:
        watched(monkeypatch, canary_watch.CALLS_MIN)
    assert ended.value.exit_code == canary.TOO_FEW


def test_an_automatic_rollback_is_repeated_after_another_change(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Regression: the command ended with a conflict, and the bad canary kept its calls."""
    ends = [pilot.CONFLICT, pilot.CONFLICT, 0]
    seen = iter([Calls(100, 0), Calls(200, 100)])

    def rolled_back(*_: object) -> None:
        if code := ends.pop(0):
            raise typer.Exit(code)

    monkeypatch.setattr(canary_watch, "sample", lambda *_: next(seen))
    monkeypatch.setattr(draining, "instances", lambda _: [])
    monkeypatch.setattr(canary, "_roll_back", rolled_back)
    step, limits = Canary("customers", "v1", "v2", 10), Limits(0.0, 0.0, 1.0)
    with pytest.raises(typer.Exit) as ended:
        canary._watched(step, limits, canary._How(1.0, force=False), as_json=False)
    assert (ended.value.exit_code, ends) == (canary.ROLLED_BACK, [])


@pytest.mark.parametrize("min_calls", [5, 0])
def test_an_sre_may_let_fewer_calls_suffice(
    monkeypatch: pytest.MonkeyPatch, min_calls: int
) -> None:
    watched(monkeypatch, min_calls)
