"""Who may call what: the answers agree with the contracts, the Sidecars and the SREs' policies."""

from dataclasses import replace
from typing import Any, cast

import pytest

from mesh.controlplane import model
from mesh.pilot.explain import Rule, UnknownName, decide, describe, edges
from services.contracts import GATEWAY, load, spiffe_id
from tests.rigs.mesh.fixed_places import mesh

MESH = mesh()
SERVICES = [each.workload.name for each in MESH.sidecars]


def _with_policy(policy: model.Policy, on: str) -> model.Mesh:
    sidecars = tuple(
        replace(each, policies=(policy,)) if each.workload.name == on else each
        for each in MESH.sidecars
    )
    return replace(MESH, sidecars=sidecars)


def test_every_allowed_call_is_in_a_contract_and_in_a_sidecar() -> None:
    """For all pairs of workloads and all methods."""
    contracts = load()
    for caller in (*SERVICES, GATEWAY):
        for callee in SERVICES:
            for path, contract in contracts.items():
                if contract.deployable != callee:
                    continue
                (decision,) = decide(MESH, caller, callee, path)
                granted = next(
                    each
                    for sidecar in MESH.sidecars
                    for each in sidecar.grants
                    if each.path == path
                )
                if decision.allowed:
                    assert spiffe_id(caller) in granted.principals
                assert decision.allowed == any(
                    each.caller == caller and each.callee == callee and path in each.methods
                    for each in edges(MESH)
                )


def test_a_service_that_no_workload_calls_has_its_instances_too() -> None:
    """Regression: a further instance of audit was never announced, so its start was given up."""
    assert not [each for each in edges(MESH) if each.callee == "audit"]
    for name in SERVICES:
        (instance,) = cast(list[dict[str, object]], describe(MESH, name)["instances"])
        assert (instance["instance"], instance["state"]) == (f"{name}-0", "READY")


def test_the_sidecar_decides_before_the_contract() -> None:
    """transfers does not list payments, so its calls never leave."""
    for each in decide(MESH, "transfers", "payments", "PaymentsService/CreateInterbankTransfer"):
        assert (each.allowed, each.rule) == (False, Rule.EGRESS)


def test_a_deny_policy_decides_before_the_contract() -> None:
    """In dry run it is only named."""
    path = next(
        e.methods[0] for e in edges(MESH) if (e.caller, e.callee) == ("payments", "customers")
    )
    rule = model.PolicyRule(paths=(model.Text(model.TextSort.EXACT, path),))
    for dry_run in (True, False):
        policy = model.Policy("freeze", model.Verdict.DENY, (rule,), dry_run=dry_run)
        changed = _with_policy(policy, "customers")
        (decision,) = decide(changed, "payments", "customers", path)
        assert decision.allowed is dry_run
        assert decision.rule is (Rule.CONTRACT if dry_run else Rule.DENY)
        assert decision.dry_run == (("freeze",) if dry_run else ())


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    """For workloads and for methods."""
    with pytest.raises(UnknownName, match="payments"):
        decide(MESH, "payments", "ledger", "Get")
    with pytest.raises(UnknownName, match="has no method"):
        decide(MESH, "payments", "customers", "Nothing")


def test_partners_are_edges_of_the_workloads_that_list_them() -> None:
    """As the Sidecars of the design document's partners."""
    found = {(each.caller, each.callee) for each in edges(MESH) if each.partner}
    assert ("payments", "ach-network.example") in found
    assert ("notifications", "fcm.googleapis.com") in found
    assert (GATEWAY, "oauth.example") in found


def test_a_description_has_callers_methods_and_the_policy_of_each_call() -> None:
    """The figures come from mesh/config."""
    found: dict[str, Any] = describe(MESH, "payments")
    assert found["callers"] == ["gateway"]
    calls = {each.get("partner", each.get("service")): each for each in found["calls"]}
    assert calls["ach-network.example"]["breaker_failures"] == 5
    assert calls["ach-network.example"]["breaker_open_ms"] == 60_000
