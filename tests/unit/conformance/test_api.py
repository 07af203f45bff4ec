"""The paths of resources in the Kubernetes API."""

import pytest

from lab.conformance.api import path_of


@pytest.mark.parametrize(
    ("api", "kind", "path"),
    [
        ("v1", "Namespace", "/api/v1/namespaces/x"),
        ("v1", "Secret", "/api/v1/namespaces/bp/secrets/x"),
        (
            "networking.istio.io/v1",
            "ServiceEntry",
            "/apis/networking.istio.io/v1/namespaces/bp/serviceentries/x",
        ),
        (
            "security.istio.io/v1",
            "PeerAuthentication",
            "/apis/security.istio.io/v1/namespaces/bp/peerauthentications/x",
        ),
    ],
)
def test_a_resource_has_its_path(api: str, kind: str, path: str) -> None:
    metadata = {"name": "x", "namespace": "bp"}
    assert path_of({"apiVersion": api, "kind": kind, "metadata": metadata}) == path
