"""Edges from counters: each call is counted once, at the proxy that knows most about it."""

from mesh.pilot.counted import ClusterState, Sample
from mesh.pilot.traffic import CLOSED, FULL, OPEN, by_callee, by_method
from mesh.pilot.window import View, Window
from services.contracts import GATEWAY, spiffe_id
from tests.rigs.mesh.fixed_places import mesh

MESH = mesh()
READ = "/bp.customers.v1.CustomersService/GetBalance"
ORDER = "/bp.payments.v1.PaymentsService/CreateInterbankTransfer"
ACH = "ach-network.example"


def view(**samples: Sample) -> View:
    """Return the view of ten seconds with one sample of each proxy, which has just started."""
    made = Window()
    for node in samples:
        made.expect(f"{node}-0", 0.0)
    for node, each in samples.items():
        made.add(f"{node}-0", 10.0, each)
    return made.view(10.0)


def calls(*counted: tuple[str, str, str, int]) -> Sample:
    """Return a sample with these calls: caller, method, outcome, number."""
    return Sample(5, {each[:3]: each[3] for each in counted})


def test_a_call_between_services_is_counted_at_its_caller() -> None:
    """It is at both proxies; what failed on the way is only at the caller's."""
    me = spiffe_id("payments")
    found = by_method(
        view(
            payments=calls((me, READ, "200/0", 6), (me, READ, "503/14", 2)),
            customers=calls((me, READ, "200/0", 6)),
        ),
        MESH,
    )
    assert [(e.caller, e.callee, e.method, e.calls, e.failed) for e in found] == [
        ("payments", "customers", READ, 8, 2)
    ]
    assert (found[0].per_second, found[0].failed_percent) == (0.8, 25.0)


def test_calls_of_the_gateway_are_counted_at_the_services() -> None:
    """At the gateway, the calls of its clients are; HEAD is a GET."""
    route = "bp.payments.v1.PaymentsService.CreateInterbankTransfer.0"
    found = by_method(
        view(
            gateway=calls(
                *(("-", route, "200/0", 3), ("-", f"HEAD {route}", "200/0", 1)),
                *(("-", "two-hosts", "400/-", 1), ("-", "", "404/-", 9)),
                ("spiffe://ach-network.example/webhooks", route, "403/-", 2),
            ),
            payments=calls((spiffe_id(GATEWAY), ORDER, "200/7", 3)),
        ),
        MESH,
    )
    assert [(e.caller, e.callee, e.method, e.calls, e.denied) for e in found] == [
        ("clients", GATEWAY, ORDER, 4, 0),
        ("clients", GATEWAY, "two-hosts", 1, 0),
        (GATEWAY, "payments", ORDER, 3, 3),
        ("spiffe://ach-network.example/webhooks", GATEWAY, ORDER, 2, 2),
    ]


def test_a_partner_has_one_edge_with_retries_and_circuit_breaker() -> None:
    """The worst state of a destination's clusters is shown."""
    me = spiffe_id("payments")
    clusters = {
        f"partner/{ACH}": ClusterState(retries=3, ejected=1),
        "service/customers": ClusterState(),
        "service/customers/v2": ClusterState(2, full=True),
    }
    named = {(me, f"partner/{ACH}", "503/-"): 4, (me, READ, "200/0"): 1}
    found = by_callee(view(payments=Sample(5, named, {}, clusters)), MESH)
    assert [(e.callee, e.calls, e.failed, e.retries, e.breaker) for e in found] == [
        (ACH, 4, 4, 3, OPEN),
        ("customers", 1, 0, 2, FULL),
    ]
    assert CLOSED not in {each.breaker for each in found}


def test_counters_of_proxies_and_methods_that_no_longer_exist_are_left_out() -> None:
    """So an edit never fails on them."""
    me = spiffe_id("payments")
    found = by_method(
        view(gone=calls((me, READ, "200/0", 1)), payments=calls((me, "/x/Y", "200/12", 1))),
        MESH,
    )
    assert found == []


def test_the_calls_of_an_instance_that_has_stopped_remain() -> None:
    """An edit would meet the same calls of the instances that are left."""
    made, me = Window(), spiffe_id("payments")
    made.expect("payments-1", 0.0)
    made.add("payments-1", 10.0, calls((me, READ, "200/0", 5)))
    made.keep(["payments-0"])
    found = by_method(made.view(10.0), MESH)
    assert [(e.caller, e.callee, e.calls) for e in found] == [("payments", "customers", 5)]


def test_a_mistake_of_a_customer_is_no_failure_of_the_gateway() -> None:
    """Envoy derives a code of gRPC from the transcoder's status: 13 from 400, 12 from 404."""
    route = "bp.payments.v1.PaymentsService.CreateInterbankTransfer.0"
    outcomes = (("400/13", 5), ("404/12", 3), ("409/2", 2), ("504/14", 1))
    (found,) = by_method(view(gateway=calls(*(("-", route, *each) for each in outcomes))), MESH)
    assert (found.calls, found.failed) == (11, 1)


def test_calls_that_a_caller_gave_up_are_unanswered() -> None:
    """As when the callee hangs: the caller's deadline passes, and no status comes."""
    me = spiffe_id("payments")
    (found,) = by_method(
        view(payments=calls((me, READ, "0/", 3), (me, READ, "0/-", 1), (me, READ, "200/0", 4))),
        MESH,
    )
    assert (found.failed, found.unanswered, found.unanswered_percent) == (0, 4, 50.0)
