"""For any value in a file of config/, a check passes or ends with errors that name lines.

No value causes any other exception. This runs without Envoy; tests/unit/mesh/test_check.py uses it.
"""

import copy
import math
from collections.abc import Iterator
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from mesh.controlplane.deliver.snapshot import snapshots
from mesh.controlplane.ingest import documents, resources, telemetry
from mesh.controlplane.ingest.documents import Document, Place
from mesh.controlplane.ingest.faults import (
    Absent,
    ConfigFault,
    Faults,
    Findings,
    MeshFault,
)
from mesh.controlplane.resolve.mesh import Inputs, resolve
from mesh.ctl import CONFIG
from services import contracts
from tests.rigs.mesh.fixed_places import endpoints, sources

DOCUMENTS = documents.read_folder(CONFIG)


def _places(value: Any, at: Place = ()) -> Iterator[Place]:
    yield at
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _places(each, (*at, key))
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from _places(each, (*at, index))


PLACES = [(i, place) for i, one in enumerate(DOCUMENTS) for place in _places(one.value)]
ODD = [
    *(None, True, False, 0, 1, -1, 2**31, 2**32, 2**63, 2**64, 10**30, 1.5, -0.0),
    *(math.inf, math.nan, [], {}, [[]], [None], {"": None}, {"a": {}}, {1: 2}, [1, "a"]),
    *("", " ", "\x00", "\n", "é", "\u0661s", "\ud800", "*", "~/*", "./", "./*", "x" * 5000),
    *("0s", "0.0004s", "99999999999999h", f"{'9' * 5000}s", "1ns", "-1s", "1.0005s", "8760h"),
    *("https://", "https://x.example", "spiffe://a/\"]]'", "a.example/", "%REQ(x)%", ",", "5xx,"),
    *("reply.code", "response.code", "true", "(" * 3000, "edge", "gateway", "payments", "bp"),
    *("fraud.example", "*.bp.svc.cluster.local", "audit.bp.svc.cluster.local", "./fraud.example"),
    *("ISTIO_MUTUAL", "MUTUAL", "oauth", "x-bp-partner", "sub", "Telemetry", "VirtualService"),
]


def _checked(changed: list[Document]) -> list[MeshFault | ConfigFault]:
    """Return the errors of a check without Envoy."""
    findings = Findings()
    try:
        parsed = resources.parse(changed, findings)
        mesh = resolve(Inputs(parsed, contracts.load(), endpoints()), findings)
        snapshots(mesh, telemetry.passed_on(parsed), sources)
    except Faults as several:
        return list(several.faults)
    except (MeshFault, ConfigFault) as fault:
        return [fault]
    return []


def _with(number: int, place: Place, value: object) -> list[Document]:
    changed = list(DOCUMENTS)
    one = changed[number]
    holder: Any = {"value": copy.deepcopy(one.value)}
    inner: Any = holder
    for step in ("value", *place)[:-1]:
        inner = inner[step]
    inner[("value", *place)[-1]] = copy.deepcopy(value)
    changed[number] = Document(one.path, holder["value"], one.lines)
    return changed


@settings(max_examples=80)
@given(
    st.sampled_from(PLACES),
    st.one_of(st.sampled_from(ODD), st.text(), st.integers(), st.floats()),
)
def test_an_odd_value_anywhere_is_an_error_with_a_line_or_has_an_effect(
    place: tuple[int, Place], value: object
) -> None:
    for fault in _checked(_with(*place, value)):
        assert isinstance(fault, ConfigFault | Absent), str(fault)
        assert "\n" not in str(fault)
