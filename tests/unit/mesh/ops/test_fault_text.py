"""An injected fault is only inserted text, so its removal restores the files."""

from pathlib import Path

import pytest

from mesh.controlplane.resolve.mesh import resolve
from mesh.pilot.expiring import Added, without
from ops.bpctl.mesh import fault_text
from ops.bpctl.mesh.fault_text import Fault, Injected
from ops.bpctl.mesh.yaml_text import ROUTES, CannotEdit, Files, objects
from tests.rigs.mesh.fixed_places import inputs
from tests.unit.mesh.ops.test_canary_text import FILES

HOST = "customers.bp.svc.cluster.local"
BALANCE = "/bp.customers.v1.CustomersService/GetBalance"
DELAY, ABORT = Fault(10.0, delay="2s"), Fault(12.5, abort="UNAVAILABLE")
NOTE = "injected until noon, 1a2b"
SEVERAL = {
    "a.yaml": f"""\
kind: VirtualService
metadata: {{name: customers}}
spec:
  hosts: [{HOST}]
  http:
  -   match: [{{uri: {{prefix: {BALANCE[:-7]}}}, headers: {{a: {{exact: b}}}}}}]
      route: [{{destination: {{host: {HOST}}}}}]
      timeout: 1s
  - match: [{{uri: {{exact: {BALANCE}}}}}]
    route: [{{destination: {{host: {HOST}}}}}]  # kept
    timeout: 2s
  - match: [{{uri: {{regex: /other}}}}]
    route: [{{destination: {{host: {HOST}}}}}]
  - route: [{{destination: {{host: {HOST}}}}}]
    timeout: 6s
"""
}


def removed(made: Injected) -> Files:
    """Return the files after the inserted texts are gone."""
    content = {name: text.encode() for name, text in made.files.items()}
    after = without(content, [Added(*each) for each in made.added])
    return {name: text.decode() for name, text in after.items()}


@pytest.mark.parametrize("path", ["", BALANCE])
@pytest.mark.parametrize("fault", [DELAY, ABORT])
@pytest.mark.parametrize("files", [FILES, SEVERAL], ids=["bank", "several"])
def test_removing_the_inserted_texts_restores_the_files(
    files: Files, fault: Fault, path: str
) -> None:
    """Comments, layout and all other values are as before."""
    made = fault_text.injected(files, HOST, path, fault, NOTE)
    assert made.files != files
    assert removed(made) == files


def test_a_fault_of_a_method_is_in_every_route_that_the_method_can_take() -> None:
    """Each copy stands before its route, so the order of the routes stays."""
    made = fault_text.injected(SEVERAL, HOST, BALANCE, DELAY, NOTE)
    (only,) = objects(made.files, ROUTES)
    routes = only.value["spec"]["http"]
    assert [("fault" in each, each.get("timeout")) for each in routes] == [
        (True, "1s"),
        (False, "1s"),
        (True, "2s"),
        (False, None),
        (True, "6s"),
        (False, "6s"),
    ]
    assert routes[0]["match"] == [{"uri": {"exact": BALANCE}, "headers": {"a": {"exact": "b"}}}]
    assert routes[4]["match"] == [{"uri": {"exact": BALANCE}}]


@pytest.mark.parametrize("path", ["", BALANCE])
def test_the_control_plane_translates_the_fault(tmp_path: Path, path: str) -> None:
    """The text resolves to a delay of a tenth of the calls."""
    for name, text in fault_text.injected(FILES, HOST, path, DELAY, NOTE).files.items():
        place = tmp_path / name
        place.parent.mkdir(exist_ok=True)
        place.write_text(text)
    mesh = resolve(inputs(tmp_path))
    payments = next(each for each in mesh.sidecars if each.workload.name == "payments")
    target = next(each for each in payments.services if each.name == "customers")
    first = target.routes[0]
    assert first.delay is not None
    assert (first.delay.ms, first.delay.per_million) == (2000, 100_000)
    assert len(target.routes) == (2 if path else 1)


def test_services_and_partners_are_found_by_their_names() -> None:
    """By the host, or by the name of the VirtualService."""
    assert fault_text.host_of(FILES, "customers") == HOST
    assert fault_text.host_of(FILES, "fraud") == "fraud.example"
    assert fault_text.host_of(FILES, "fraud.example") == "fraud.example"
    assert fault_text.is_partner("fraud.example")
    assert not fault_text.is_partner(HOST)
    with pytest.raises(CannotEdit, match="there are"):
        fault_text.host_of(FILES, "nobody")


def test_a_second_fault_in_a_route_is_refused() -> None:
    """One of them would win silently."""
    once = fault_text.injected(FILES, HOST, "", DELAY, NOTE).files
    with pytest.raises(CannotEdit, match="already has a fault"):
        fault_text.injected(once, HOST, "", ABORT, NOTE)
