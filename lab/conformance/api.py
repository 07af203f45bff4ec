"""A client of the Kubernetes API: server-side apply with strict validation of fields.

Strict means that an unknown or repeated field is an error with its path, as an SRE's kubectl shows
it; errors are returned and not raised, so that one run finds them all.
"""

import json
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import aiohttp

from lab.conformance.processes import Cluster
from ops.waiting import until

_MANAGER = "conformance"
_OK = 300
_PLURALS = {
    "WorkloadEntry": "workloadentries",
    "EndpointSlice": "endpointslices",
    "Gateway": "gateways",
    "Telemetry": "telemetries",
    "EdgePolicy": "edgepolicies",
    "ServiceEntry": "serviceentries",
    "AuthorizationPolicy": "authorizationpolicies",
}
_WITHOUT_NAMESPACE = {"Namespace", "CustomResourceDefinition"}


@dataclass(frozen=True)
class Refusal:
    """A resource that the API server refuses, and why."""

    resource: str
    reason: str


class Api:
    """One session with the API server."""

    def __init__(self, cluster: Cluster, session: aiohttp.ClientSession) -> None:
        """Use an open session."""
        self._url = cluster.url
        self._session = session

    async def ready(self) -> None:
        """Wait until the server says that it is ready."""

        async def answered() -> bool:
            try:
                async with self._session.get(f"{self._url}/readyz") as answer:
                    return answer.status < _OK
            except aiohttp.ClientError:
                return False

        await until(answered, 120, "kube-apiserver to be ready")

    async def apply(self, resource: dict[str, Any], *, part: str = "") -> Refusal | None:
        """Apply a resource, or its part such as "status"; return why the server refuses it."""
        metadata = resource["metadata"]
        url = f"{self._url}{path_of(resource)}{f'/{part}' if part else ''}"
        asked = {"fieldManager": _MANAGER, "fieldValidation": "Strict", "force": "true"}
        headers = {"Content-Type": "application/apply-patch+yaml"}
        body = json.dumps(resource)
        async with self._session.patch(url, params=asked, data=body, headers=headers) as answer:
            if answer.status < _OK:
                return None
            said = await answer.json()
        return Refusal(f"{resource['kind']}/{metadata['name']}", said.get("message", str(said)))

    async def addressed(self, entries: Iterable[dict[str, Any]]) -> None:
        """Wait until istiod has given each ServiceEntry an address; until then it is a warning."""

        async def all_have() -> bool:
            for each in entries:
                async with self._session.get(f"{self._url}{path_of(each)}") as answer:
                    if not (await answer.json()).get("status", {}).get("addresses"):
                        return False
            return True

        await until(all_have, 60, "addresses of the ServiceEntries")

    async def delete(self, resource: dict[str, Any]) -> None:
        """Delete a resource."""
        async with self._session.delete(f"{self._url}{path_of(resource)}") as answer:
            answer.raise_for_status()

    async def established(self, definition: str) -> None:
        """Wait until the server serves a kind, after its definition was applied."""
        url = f"{self._url}/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{definition}"

        async def answered() -> bool:
            async with self._session.get(url) as answer:
                conditions = (await answer.json()).get("status", {}).get("conditions") or ()
            return any(c["type"] == "Established" and c["status"] == "True" for c in conditions)

        await until(answered, 60, f"the kind {definition}")


def path_of(resource: dict[str, Any]) -> str:
    """Return the path of a resource in the API."""
    group, kind, metadata = resource["apiVersion"], resource["kind"], resource["metadata"]
    start = f"/apis/{group}" if "/" in group else f"/api/{group}"
    within = "" if kind in _WITHOUT_NAMESPACE else f"/namespaces/{metadata['namespace']}"
    plural = _PLURALS.get(kind, f"{kind.lower()}s")
    return f"{start}{within}/{plural}/{metadata['name']}"


def session(cluster: Cluster) -> aiohttp.ClientSession:
    """Return a session that trusts the server's own certificate; it listens on loopback only."""
    trusted = ssl.create_default_context()
    trusted.check_hostname = False
    trusted.verify_mode = ssl.CERT_NONE
    headers = {"Authorization": f"Bearer {cluster.token}"}
    return aiohttp.ClientSession(headers=headers, connector=aiohttp.TCPConnector(ssl=trusted))
