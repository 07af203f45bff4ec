"""How many calls of a canary fail, from answers of Envoy."""

import json

from ops.bpctl.mesh import canary_watch, rates
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
    assert rates.of_instances([text, ""]) == 3


def test_only_enough_calls_of_a_step_roll_it_back() -> None:
    """One failure of two says nothing; a restarted proxy does not make the calls negative."""
    assert Calls(30, 3).since(Calls(20, 1)) == Calls(10, 2)
    assert Calls(3, 0).since(Calls(20, 1)) == Calls(0, 0)
    assert Calls().percent == 0
    assert not canary_watch.is_too_bad(Calls(2, 1), 1.0)
    assert canary_watch.is_too_bad(Calls(100, 2), 1.0)
    assert not canary_watch.is_too_bad(Calls(100, 1), 1.0)
