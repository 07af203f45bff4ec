"""Random objects are consistent, or refused at a line of their file; nothing else happens."""

import copy
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lab.fuzz.configs import objects
from mesh.controlplane import model
from mesh.controlplane.ingest import documents, resources
from mesh.controlplane.ingest.documents import Document
from mesh.controlplane.ingest.endpoints import Endpoints
from mesh.controlplane.ingest.faults import ConfigFault, Faults, Findings
from mesh.controlplane.resolve.mesh import Inputs, resolve
from mesh.ctl import CONFIG
from services import contracts
from tests.rigs.mesh.fixed_places import endpoints

CONTRACTS = contracts.load()
DOCUMENTS = documents.read_folder(CONFIG)
PLACES = endpoints()


def places() -> Endpoints:
    """Return the addresses, with two versions of customers."""
    found = PLACES.model_dump(mode="json", exclude_none=True)
    customers = found["services"]["customers"]
    del customers["mtls"]
    customers["instances"] = [
        {"address": f"127.0.0.1:{number}", "version": str(number)} for number in (1, 2)
    ]
    return Endpoints.model_validate(found)


def edited(
    host: str, *, http: Any, policy: Any, subsets: Any = None, access: Any = None
) -> list[Document]:
    """Return the bank's config with other routes and another policy of one host."""
    found: list[Document] = []
    for each in DOCUMENTS:
        value = copy.deepcopy(each.value)
        spec = value["spec"]
        if value["kind"] == "VirtualService" and spec["hosts"] == [host]:
            spec["http"] = http
        if value["kind"] == "DestinationRule" and spec["host"] == host:
            spec["trafficPolicy"] = {"tls": spec["trafficPolicy"]["tls"], **policy}
            if subsets:
                spec["subsets"] = subsets
        found.append(Document(each.path, value, each.lines))
    if access:
        found.append(Document(Path("access.yaml"), _access(access), {}))
    return found


def _access(spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "security.istio.io/v1",
        "kind": "AuthorizationPolicy",
        "metadata": {"name": "random", "namespace": "bp"},
        "spec": spec,
    }


def checked(changed: list[Document]) -> model.Mesh | list[ConfigFault]:
    """Return the model, or the errors with their lines."""
    findings = Findings()
    try:
        parsed = resources.parse(changed, findings)
        return resolve(Inputs(parsed, CONTRACTS, places()), findings)
    except ConfigFault as fault:
        return [fault]
    except Faults as several:
        return [each for each in several.faults if isinstance(each, ConfigFault)]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_a_random_service_is_consistent_or_refused(data: st.DataObject) -> None:
    found = checked(
        edited(
            objects.SERVICE,
            http=data.draw(objects.routes(objects.SERVICE)),
            policy=data.draw(objects.overrides()),
            subsets=data.draw(objects.subsets()),
            access=data.draw(st.one_of(st.none(), objects.policies())),
        )
    )
    if isinstance(found, list):
        assert found
        return
    for proxy in (*found.sidecars, found.edge):
        for target in proxy.services:
            _consistent(target)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data(), st.sampled_from(objects.PARTNERS))
def test_a_random_partner_is_consistent_or_refused(data: st.DataObject, host: str) -> None:
    http, policy = data.draw(objects.routes(host)), data.draw(objects.overrides())
    found = checked(edited(host, http=http, policy=policy))
    if isinstance(found, list):
        assert found
        return
    partners = [p for each in found.sidecars for p in each.partners if p.host == host]
    for each in partners:
        assert each.routes[-1].matches == ()


def _consistent(target: model.ServiceTarget) -> None:
    """Every route has a destination, and the last one is for every request."""
    known = {each.name for each in target.subsets}
    assert target.routes[-1].matches == ()
    for route in target.routes:
        assert sum(each.weight for each in route.destinations) > 0
        assert {each.subset for each in route.destinations} <= {None, *known}
        assert {each.subset for each in route.mirrors} <= known
        assert route.timeout_ms
