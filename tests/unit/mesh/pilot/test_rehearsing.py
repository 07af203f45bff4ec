"""A rehearsal finds each effect of an edit on live calls, and nothing for an equal model."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.controlplane import model
from mesh.controlplane.deliver.packed import Kind, pack, snapshot
from mesh.controlplane.translate.edge.names import JWT
from mesh.pilot.explain import edges
from mesh.pilot.rehearsing import (
    CallsDenied,
    Effect,
    KeysLost,
    Seen,
    Side,
    is_payment,
    rehearse,
    require_no_loss,
    size,
)
from mesh.pilot.traffic import CLIENTS, LiveEdge
from services.contracts import GATEWAY, load
from tests.rigs.mesh.fixed_places import mesh

MESH = mesh()
CONTRACTS = load()
READ = "/bp.customers.v1.CustomersService/GetBalance"
CHECK = "/bp.customers.v1.CustomersService/CheckDebit"
ORDER = "/bp.payments.v1.PaymentsService/CreateInterbankTransfer"
ACH = "ach-network.example"


def live(caller: str, callee: str, method: str, p99_ms: float = 8.0, denied: int = 0) -> LiveEdge:
    """Return an edge with ten calls."""
    return LiveEdge(caller, callee, method, 60.0, 10, 0, denied, 2.0, 5.0, p99_ms)


def every_edge() -> list[LiveEdge]:
    """Return a live edge for each call that is allowed."""
    return [
        live(each.caller, each.callee, method)
        for each in edges(MESH)
        for method in (each.methods or ("",))
    ]


def effects(after: model.Mesh, *edges: LiveEdge, before: model.Mesh = MESH) -> list[Seen]:
    """Return what a rehearsal finds."""
    return rehearse(Side(before, {}), Side(after, {}), edges, CONTRACTS)


def with_sidecar(name: str, change: Callable[[model.Sidecar], model.Sidecar]) -> model.Mesh:
    """Return the mesh with one sidecar changed."""
    found = tuple(change(e) if e.workload.name == name else e for e in MESH.sidecars)
    return replace(MESH, sidecars=found)


def with_target(change: Callable[[model.ServiceTarget], model.ServiceTarget]) -> model.Mesh:
    """Return the mesh in which payments sees another customers."""
    return with_sidecar(
        "payments", lambda each: replace(each, services=tuple(map(change, each.services)))
    )


def denying(path: str, *, dry_run: bool = False) -> model.Policy:
    """Return a policy that denies a method."""
    rule = model.PolicyRule(paths=(model.Text(model.TextSort.EXACT, path),))
    return model.Policy("freeze", model.Verdict.DENY, (rule,), dry_run=dry_run)


def test_an_equal_configuration_has_no_effect() -> None:
    """For every call that the bank allows."""
    assert len(every_edge()) > 20
    assert effects(mesh(), *every_edge()) == []


def test_a_call_of_a_customer_is_counted_once() -> None:
    """It is a call of the customer to the gateway, and one of the gateway to the service."""
    assert size([live(CLIENTS, GATEWAY, READ), live(GATEWAY, "customers", READ)]) == (1, 10)


@given(st.sampled_from(every_edge()))
def test_exactly_the_denied_method_is_denied(edge: LiveEdge) -> None:
    """Whichever method a policy denies; removing the policy allows it again."""
    if not edge.method:
        return
    after = with_sidecar(edge.callee, lambda each: replace(each, policies=(denying(edge.method),)))
    found = effects(after, *every_edge())
    assert {(e.effect, e.callee, e.method) for e in found} == {
        (Effect.DENIED, edge.callee, edge.method)
    }
    back = effects(MESH, replace(edge, denied=4), before=after)
    assert [(e.effect, e.calls) for e in back] == [(Effect.ALLOWED, 4)]


def test_a_dry_run_is_named_and_denies_nothing() -> None:
    after = with_sidecar(
        "customers", lambda each: replace(each, policies=(denying(CHECK, dry_run=True),))
    )
    (found,) = effects(after, live("payments", "customers", CHECK))
    assert (found.effect, found.why) == (Effect.DRY_RUN, "freeze")
    require_no_loss([found])


def test_a_host_that_leaves_the_sidecar_is_denied() -> None:
    """A service and a partner; calls of payments are payments, so the edit needs force."""
    after = with_sidecar("payments", lambda each: replace(each, services=(), partners=()))
    found = effects(after, live("payments", "customers", CHECK), live("payments", ACH, ""))
    assert [(e.effect, e.callee, e.payment) for e in found] == [
        (Effect.DENIED, "customers", True),
        (Effect.DENIED, ACH, True),
    ]
    with pytest.raises(CallsDenied, match=r"payments → customers .*does not list customers"):
        require_no_loss(found)


def test_a_partner_whose_certificate_is_no_longer_accepted_is_denied() -> None:
    """Its notices are part of payments. Customers' calls need no certificate."""
    method = "/bp.payments.v1.PaymentsService/ReceiveAchWebhook"
    kept = tuple(
        (name, () if name == "ach-network" else known)
        for name, known in MESH.edge.partner_principals
    )
    after = replace(MESH, edge=replace(MESH.edge, partner_principals=kept))
    edges = [
        live("spiffe://ach-network.example/webhooks", GATEWAY, method),
        live("clients", GATEWAY, ORDER),
    ]
    assert effects(mesh(), *edges) == []
    (found,) = effects(after, *edges)
    assert (found.effect, found.payment) == (Effect.DENIED, True)
    assert found.why == "the gateway accepts no certificate"


def test_calls_that_order_no_payment_need_no_force() -> None:
    """A read of a balance, unlike an order and its return."""
    returned = "/bp.payments.v1.PaymentsService/ReceiveAchWebhook"
    assert is_payment(live(GATEWAY, "payments", returned), CONTRACTS)
    assert not is_payment(live(GATEWAY, "customers", READ), CONTRACTS)
    assert is_payment(live(GATEWAY, "payments", ORDER), CONTRACTS)
    require_no_loss([Seen(Effect.DENIED, GATEWAY, "customers", READ, 10, "", payment=False)])


def test_another_share_of_a_version_is_shown_with_the_missing_instance() -> None:
    """A subset without instances answers with 503."""
    subset = model.Subset("v2", (), MESH.edge.services[0].traffic)
    shares = (model.Destination(None, 90), model.Destination("v2", 10))

    def change(each: model.ServiceTarget) -> model.ServiceTarget:
        routes = tuple(replace(route, destinations=shares) for route in each.routes)
        return replace(each, routes=routes, subsets=(subset,))

    found = effects(with_target(change), live("payments", "customers", CHECK))
    assert [(e.effect, e.callee) for e in found] == [
        (Effect.REROUTED, "customers"),
        (Effect.NO_INSTANCE, "customers"),
    ]
    assert found[0].why == "all instances 100 % → all instances 90 %, v2 10 %"


@pytest.mark.parametrize(
    ("changes", "p99_ms", "effect"),
    [
        ({"timeout_ms": 100}, 400.0, Effect.TIMEOUT),
        ({"timeout_ms": 100}, 99.0, None),
        ({"abort": model.Abort(503, None, 10_000)}, 1.0, Effect.FAULT),
        ({"rewrite": model.Rewrite(authority="other")}, 1.0, Effect.REROUTED),
        ({"mirrors": (model.Mirror(None),)}, 1.0, Effect.REROUTED),
    ],
)
def test_routes_with_other_rules(
    changes: dict[str, Any], p99_ms: float, effect: Effect | None
) -> None:
    """A timeout matters only if calls took longer."""

    def change(each: model.ServiceTarget) -> model.ServiceTarget:
        return replace(each, routes=tuple(replace(one, **changes) for one in each.routes))

    found = effects(with_target(change), live("payments", "customers", CHECK, p99_ms))
    assert [each.effect for each in found] == ([effect] if effect else [])


def test_keys_are_lost_only_while_the_issuer_is_down() -> None:
    """The token filter has the keys, and its successor cannot fetch them."""
    old, new = (
        Side(MESH, {"gateway-0": snapshot("gateway-0", [pack(Kind.EXTENSION, JWT, body)])})
        for body in (b"old", b"new")
    )
    assert rehearse(old, new, [], CONTRACTS) == []
    assert rehearse(old, old, [], CONTRACTS, issuer_is_down=True) == []
    found = rehearse(old, new, [], CONTRACTS, issuer_is_down=True)
    with pytest.raises(KeysLost, match="token filter"):
        require_no_loss(found)
