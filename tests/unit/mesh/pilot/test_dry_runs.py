"""Policies in dry run have the calls that their service's proxies counted, and whose they are."""

from dataclasses import replace

from mesh.controlplane import model
from mesh.pilot.counted import Sample
from mesh.pilot.dry_runs import Met, dry_runs
from mesh.pilot.traffic import LiveEdge
from mesh.pilot.window import Window
from ops.bpctl.mesh.asking import dry_run_row
from services.contracts import GATEWAY
from tests.rigs.mesh.fixed_places import mesh

READ = "/bp.customers.v1.CustomersService/GetBalance"
CHECK = "/bp.customers.v1.CustomersService/CheckDebit"


def with_policies(*policies: model.Policy) -> model.Mesh:
    """Return the mesh with these policies at customers."""
    made = mesh()
    found = tuple(
        replace(each, policies=policies) if each.workload.name == "customers" else each
        for each in made.sidecars
    )
    return replace(made, sidecars=found)


def policy(name: str, verdict: model.Verdict, *, dry_run: bool = True) -> model.Policy:
    """Return a policy about reads of balances."""
    rule = model.PolicyRule(paths=(model.Text(model.TextSort.EXACT, READ),))
    return model.Policy(name, verdict, (rule,), dry_run=dry_run)


def live(caller: str, method: str, calls: int) -> LiveEdge:
    """Return calls to customers."""
    return LiveEdge(caller, "customers", method, 60.0, calls, 0, 0, None, None, None)


def test_calls_of_all_instances_are_added_and_have_their_callers() -> None:
    """Only calls that the policy matches; a policy without calls is named too."""
    made, window = (
        with_policies(
            policy("frozen", model.Verdict.DENY),
            policy("open", model.Verdict.ALLOW),
            policy("enforced", model.Verdict.DENY, dry_run=False),
        ),
        Window(),
    )
    for node, calls in (("customers-0", 3), ("customers-1", 4), ("payments-0", 9)):
        window.expect(node, 0.0)
        window.add(node, 10.0, Sample(5, dry_runs={"frozen": calls, "removed": 1}))
    edges = [live(GATEWAY, READ, 5), live("payments", READ, 8), live("payments", CHECK, 7)]
    found = dry_runs(made, window.view(10.0), edges)
    assert [(e.policy, e.service, e.verdict, e.calls) for e in found] == [
        ("frozen", "customers", model.Verdict.DENY, 7),
        ("open", "customers", model.Verdict.ALLOW, 0),
    ]
    assert found[0].met == (Met("payments", READ, 8), Met(GATEWAY, READ, 5))


def test_a_row_says_what_the_policy_would_do() -> None:
    """Methods have no package."""
    row = dry_run_row(
        {
            **{"policy": "frozen", "service": "customers", "verdict": "DENY", "calls": 1_234},
            "met": [{"caller": GATEWAY, "method": READ, "calls": 5}],
        }
    )
    assert (row["would"], row["calls"], row["from"]) == ("deny", "1,234", ["gateway GetBalance"])
