"""A canary changes only the routes and subsets of its service, and can be undone to the letter."""

from pathlib import Path

import pytest

from mesh.controlplane import model
from mesh.controlplane.resolve.mesh import resolve
from mesh.ctl import CONFIG
from ops.bpctl.mesh import canary_text
from ops.bpctl.mesh.canary_text import Canary
from ops.bpctl.mesh.yaml_text import CannotEdit, Files
from tests.rigs.mesh.fixed_places import SERVICES, inputs

CANARY = Canary("customers", "v1", "v2", 10)
FILE = "services/customers.yaml"


def bank_files() -> Files:
    """Return the bank's own configuration."""
    return {str(each.relative_to(CONFIG)): each.read_text() for each in CONFIG.rglob("*.yaml")}


FILES = bank_files()
BLOCK = {
    "a.yaml": """\
# The rule.
kind: DestinationRule
spec:
  trafficPolicy: {tls: {mode: ISTIO_MUTUAL}}  # between services
  host: customers.bp.svc.cluster.local
---
kind: VirtualService
spec:
  http:
  - route:
    - destination:
        host: customers.bp.svc.cluster.local
    # How long.
    timeout: 6s
    retries: {attempts: 0}
  hosts: [customers.bp.svc.cluster.local]
"""
}


@pytest.mark.parametrize("files", [FILES, BLOCK], ids=["flow", "block"])
def test_a_canary_is_found_as_it_was_started_and_shifted(files: Files) -> None:
    """Its weight is the share of the new version."""
    assert canary_text.found(files, "customers") is None
    started = canary_text.started(files, CANARY)
    assert canary_text.found(started, "customers") == CANARY
    half = Canary("customers", "v1", "v2", 50)
    assert canary_text.found(canary_text.shifted(started, half), "customers") == half
    assert canary_text.found(canary_text.finished(started, CANARY), "customers") is None


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("weight", [0, 10, 100])
def test_a_canary_is_undone_to_the_letter(service: str, weight: int) -> None:
    """Only the file of the service changes, and its comments stay."""
    canary = Canary(service, "v1", "v2", weight)
    started = canary_text.started(FILES, canary)
    changed = {name for name in FILES if started[name] != FILES[name]}
    assert changed == {f"services/{service}.yaml"}
    before, after = (files[f"services/{service}.yaml"] for files in (FILES, started))
    comments = [line for line in before.splitlines() if line.strip().startswith("#")]
    assert all(line in after for line in comments)
    assert canary_text.restored(started, FILES, canary) == FILES
    assert canary_text.finished(started, canary) == FILES


def test_the_control_plane_translates_the_weights(tmp_path: Path) -> None:
    """The text is a configuration that resolves to two subsets and their shares."""
    for name, text in canary_text.started(FILES, CANARY).items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    mesh = resolve(inputs(tmp_path))
    payments = next(each for each in mesh.sidecars if each.workload.name == "payments")
    target = next(each for each in payments.services if each.name == "customers")
    shares = (model.Destination("v1", 90), model.Destination("v2", 10))
    assert [each.destinations for each in target.routes] == [shares]
    assert [each.name for each in target.subsets] == ["v1", "v2"]


def test_a_file_edited_since_is_not_replaced() -> None:
    """Somebody else's edit is not lost: only the weights are removed."""
    started = canary_text.started(FILES, CANARY)
    edited = started | {FILE: started[FILE].replace("timeout: 6s", "timeout: 7s")}
    assert canary_text.restored(edited, FILES, CANARY) is None
    assert "timeout: 7s" in canary_text.finished(edited, CANARY)[FILE]
    assert "subset" not in canary_text.finished(edited, CANARY)[FILE]


UNFIT = {
    "another canary": (canary_text.started(FILES, CANARY), "already has a canary"),
    "no route": ({"a.yaml": BLOCK["a.yaml"].partition("---")[0]}, "no VirtualService"),
    "no rule": ({"a.yaml": BLOCK["a.yaml"].partition("---\n")[2]}, "no DestinationRule"),
    "other subsets": (
        {
            "a.yaml": BLOCK["a.yaml"].replace(
                "  trafficPolicy", "  subsets: [{name: old}]\n  trafficPolicy"
            )
        },
        "has subsets, but not",
    ),
    "other weights": (
        {
            "a.yaml": BLOCK["a.yaml"].replace(
                "    - destination:\n", "    - weight: 100\n      destination:\n        subset: x\n"
            )
        },
        "not those of a canary",
    ),
    "no yaml": ({"a.yaml": f"VirtualService {CANARY.host}: ["}, "a.yaml"),
    "an alias": (
        {
            "a.yaml": "x: &r [{destination: {host: h}}]\n"
            + "kind: VirtualService\nspec:\n  hosts: [customers.bp.svc.cluster.local]\n"
            + "  http: [{route: *r}]\n---\n"
            + BLOCK["a.yaml"].partition("---")[0]
        },
        "is an alias",
    ),
}


@pytest.mark.parametrize("name", UNFIT)
def test_a_text_of_another_form_is_refused(name: str) -> None:
    """The message says what to do by hand."""
    files, said = UNFIT[name]
    with pytest.raises(CannotEdit, match=said):
        canary_text.started(files, CANARY)
