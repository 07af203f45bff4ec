"""How long a circuit breaker stays open: Istio has no field for it, so an EnvoyFilter sets it.

Envoy lengthens each further ejection of an address up to five minutes. The design document's table
has one fixed time for each partner.
"""

from collections.abc import Iterable, Iterator

from mesh.istio.kinds import DERIVED, Kind, resource

_API = "networking.istio.io/v1alpha3"
_CALLERS = ("SIDECAR_OUTBOUND", "GATEWAY")
"""Without a context, a patch also changes a service's inbound cluster, which Envoy then refuses."""


def filters(written: Iterable[Kind]) -> Iterator[Kind]:
    """Yield the filter that caps the time; `written` has the resources of mesh/config."""
    patches = [
        _patch(context, each["spec"]["host"], each["spec"]["trafficPolicy"]["outlierDetection"])
        for context in _CALLERS
        for each in written
        if each["kind"] == "DestinationRule"
        and "outlierDetection" in each["spec"].get("trafficPolicy", {})
    ]
    spec = {"configPatches": sorted(patches, key=lambda each: each["match"]["cluster"]["service"])}
    # istioctl warns of every EnvoyFilter; each Istio release is checked by `make conformance`.
    annotations = {**DERIVED, "galley.istio.io/analyze-suppress": "IST0133"}
    yield resource(_API, "EnvoyFilter", "open-breakers", spec, annotations=annotations)


def _patch(context: str, host: str, outliers: dict[str, str]) -> Kind:
    longest = {"outlier_detection": {"max_ejection_time": outliers["baseEjectionTime"]}}
    return {
        "applyTo": "CLUSTER",
        "match": {"context": context, "cluster": {"service": host}},
        "patch": {"operation": "MERGE", "value": longest},
    }
