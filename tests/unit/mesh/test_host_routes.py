"""How routes, subsets and policies of SREs become Envoy's."""

from dataclasses import replace
from typing import Any

import betterproto2
import pytest

from mesh.controlplane import model
from mesh.controlplane.translate import access, clusters
from mesh.controlplane.translate.edge import routes as edge_routes
from mesh.controlplane.translate.host_routes import partner_routes, service_routes
from mesh.controlplane.translate.parts import STREAM
from mesh.controlplane.translate.tls import OwnSecrets
from tests.rigs.mesh.fixed_places import mesh

BANK = mesh()
EXACT, PREFIX, REGEX = model.TextSort.EXACT, model.TextSort.PREFIX, model.TextSort.REGEX
CHECK = "/bp.customers.v1.CustomersService/CheckDebit"
CANARY = model.Match(headers=(model.HeaderMatch("x-canary", model.Text(EXACT, "1")),))


def target(*found: model.Route, **more: Any) -> model.ServiceTarget:
    """Return the service customers with other routes."""
    known = next(each for each in BANK.edge.services if each.name == "customers")
    subsets = tuple(model.Subset(name, known.instances, known.traffic) for name in ("v1", "v2"))
    return replace(known, routes=found or known.routes, **{"subsets": subsets, **more})


def plain(message: betterproto2.Message) -> dict[str, Any]:
    """Return a message as JSON."""
    return message.to_dict(casing=betterproto2.Casing.SNAKE)


def of_check(one: model.Route) -> dict[str, Any]:
    """Return the first route of CheckDebit."""
    return next(plain(each) for each in service_routes(target(one)) if each.name == CHECK)


def test_a_timeout_is_limited_by_the_deadline_of_the_method() -> None:
    assert of_check(model.Route(timeout_ms=100))["route"]["timeout"] == "0.100s"
    assert of_check(model.Route(timeout_ms=60_000))["route"]["timeout"] == "4.500s"
    assert of_check(model.Route())["route"]["timeout"] == "4.500s"


def test_a_route_with_conditions_comes_before_the_next_one_for_every_method() -> None:
    found = service_routes(target(model.Route(matches=(CANARY,), timeout_ms=7), model.Route()))
    check = [each for each in found if each.name == CHECK]
    assert [bool(each.match and each.match.headers) for each in check] == [True, False]
    others = [each for each in found if each.name == "service/customers"]
    assert len(others) == 2


def test_a_condition_on_a_path_chooses_methods() -> None:
    prefix = model.Match(path=model.Text(PREFIX, "/bp.customers.v1.CustomersService/Check"))
    found = service_routes(target(model.Route(matches=(prefix,), timeout_ms=7), model.Route()))
    assert sum(each.name == CHECK for each in found) == 2
    assert sum(each.name.endswith("/GetMe") for each in found) == 1


def test_shares_of_subsets_have_clusters_of_their_own() -> None:
    old, new = model.Destination("v1", 90), model.Destination("v2", 10)
    action = of_check(model.Route(destinations=(old, new)))["route"]
    assert action["weighted_clusters"]["clusters"] == [
        {"name": "service/customers/v1", "weight": 90},
        {"name": "service/customers/v2", "weight": 10},
    ]
    only = of_check(model.Route(destinations=(old, replace(new, weight=0))))["route"]
    assert only["cluster"] == "service/customers/v1"


def test_faults_edits_and_mirrors_are_on_the_route() -> None:
    one = model.Route(
        delay=model.Delay(50, 10_000),
        abort=model.Abort(grpc_status="UNAVAILABLE"),
        request_headers=model.HeaderEdits(set=(("a", "1"),), add=(("b", "2"),), remove=("c",)),
        mirrors=(model.Mirror("v2", 500_000),),
    )
    found = of_check(one)
    fault = found["typed_per_filter_config"]["envoy.filters.http.fault"]
    assert fault["delay"]["percentage"] == {"numerator": 10_000, "denominator": "MILLION"}
    assert fault["abort"]["grpc_status"] == 14
    assert [each["header"]["key"] for each in found["request_headers_to_add"]] == ["a", "b"]
    assert found["request_headers_to_remove"] == ["c"]
    assert found["route"]["request_mirror_policies"][0]["cluster"] == "service/customers/v2"


REWRITES = [
    (None, "/x/", "/x/bp.customers.v1.CustomersService/CheckDebit"),
    (model.Text(EXACT, CHECK), "/other", "/other"),
    (model.Text(PREFIX, "/bp.customers.v1."), "/bp.customers.v2.", CHECK.replace("v1", "v2")),
]


@pytest.mark.parametrize(("path", "to", "expected"), REWRITES)
def test_a_rewrite_replaces_what_the_condition_found(
    path: model.Text | None, to: str, expected: str
) -> None:
    one = model.Route(matches=(model.Match(path=path),), rewrite=model.Rewrite(path=to))
    assert of_check(one)["route"]["prefix_rewrite"] == expected


def test_a_retry_goes_to_another_address_unless_it_says_otherwise() -> None:
    retry = model.Retry(2, (model.RetryCause.RESET,), None, 25)
    other = of_check(model.Route(retry=retry))["route"]["retry_policy"]
    assert other["retry_host_predicate"][0]["name"].endswith("previous_hosts")
    assert other["host_selection_retry_max_attempts"] == "5"
    same = of_check(model.Route(retry=replace(retry, previous_hosts=True)))
    assert "retry_host_predicate" not in same["route"]["retry_policy"]


def test_a_partner_has_all_conditions_on_its_route() -> None:
    partner = replace(
        BANK.edge.partners[0],
        routes=(
            model.Route(
                matches=(
                    model.Match(
                        path=model.Text(REGEX, "/v[12]/.*"),
                        path_ignores_case=True,
                        method=model.Text(EXACT, "GET"),
                        query=(model.HeaderMatch("q", model.Text(EXACT, "1")),),
                    ),
                ),
            ),
        ),
    )
    [found] = [plain(each) for each in partner_routes(partner)]
    assert found["match"]["safe_regex"] == {"regex": "/v[12]/.*"}
    assert found["match"]["case_sensitive"] is False
    assert found["match"]["headers"][0]["name"] == ":method"
    assert found["match"]["query_parameters"][0]["name"] == "q"


def test_the_gateway_decides_conditions_on_the_call_and_keeps_those_on_headers() -> None:
    """It routes by the REST path, so the method's path and verb are compared at translation."""
    grpc = model.Match(
        path=model.Text(EXACT, "/bp.customers.v1.CustomersService/GetMe"),
        method=model.Text(EXACT, "POST"),
        headers=CANARY.headers,
    )
    never = model.Match(method=model.Text(EXACT, "GET"))
    customers = target(
        model.Route(matches=(never,), timeout_ms=1),
        model.Route(matches=(grpc,), destinations=(model.Destination("v2"),)),
        model.Route(),
    )
    services = tuple(customers if s.name == "customers" else s for s in BANK.edge.services)
    made = edge_routes.route_configuration(replace(BANK.edge, services=services))
    found = [
        plain(each)["route"]["cluster"]
        for each in made.virtual_hosts[0].routes
        if each.name == "bp.customers.v1.CustomersService.GetMe.0"
    ]
    assert found == ["service/customers/v2", "service/customers"]


def test_instances_and_subsets_have_endpoints_with_their_state() -> None:
    ready = model.Instance(model.Address("127.0.0.1", 1), "v1")
    draining = replace(
        ready, place=model.Address("127.0.0.1", 2), state=model.InstanceState.DRAINING
    )
    traffic = replace(target().traffic, balancer=model.Balancer(model.Balancing.HASH, "x-user"))
    found = target(instances=(ready, draining), subsets=(model.Subset("v1", (ready,), traffic),))
    every, subset = clusters.service_endpoints(found)
    states = [each["health_status"] for each in plain(every)["endpoints"][0]["lb_endpoints"]]
    assert states == ["HEALTHY", "DRAINING"]
    assert subset.cluster_name == "service/customers/v1"
    of_all, of_subset = clusters.service_clusters(found, OwnSecrets("default", "ROOTCA"), STREAM)
    assert plain(of_subset)["lb_policy"] == "RING_HASH"
    assert "lb_policy" not in plain(of_all)
    hashed = replace(found, routes=(model.Route(destinations=(model.Destination("v1"),)),))
    [policy] = plain(service_routes(hashed)[0])["route"]["hash_policy"]
    assert policy == {"header": {"header_name": "x-user"}}


def test_a_denial_is_on_the_routes_of_its_paths() -> None:
    grant = next(each for each in target().methods if each.path == CHECK)
    caller = model.Caller((model.Text(EXACT, "spiffe://bp.internal/ns/bp/sa/payments"),))
    rule = model.PolicyRule((caller,), (model.Text(PREFIX, "/bp.customers."),))
    policy = model.Policy("no-payments", model.Verdict.DENY, (rule,))
    assert access.DENY in access.rules(grant, [policy])
    elsewhere = replace(policy, rules=(replace(rule, except_paths=(model.Text(EXACT, CHECK),)),))
    assert access.DENY not in access.rules(grant, [elsewhere])
    counted = access.rules(grant, [replace(policy, dry_run=True)])[access.DENY].unpack()
    assert counted is not None
    said = plain(counted)["rbac"]
    assert "rules" not in said
    assert said["shadow_rules"]["action"] == "DENY"
    assert "no-payments" in said["shadow_rules"]["policies"]
