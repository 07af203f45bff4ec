"""Invented addresses for everything that mesh/config and the contracts name."""

from collections.abc import Iterable
from typing import Any

from mesh.controlplane.ingest.endpoints import Endpoints
from services import contracts

Kind = dict[str, Any]
_SERVICE = {
    "mtls": "127.0.0.1:1",
    "app_sockets": ["/run/bp/in.sock"],
    "outbound_socket": "/run/bp/out.sock",
    "admin_socket": "/run/bp/admin.sock",
}


def invented(written: Iterable[Kind]) -> Endpoints:
    """Return addresses for the services of the contracts and the partners of mesh/config."""
    of_kind: dict[str, list[Kind]] = {}
    for each in written:
        of_kind.setdefault(each["kind"], []).append(each["spec"])
    entries = [each for each in of_kind["ServiceEntry"] if _outside(each)]
    # An entry with endpoints is a second name for another entry's address.
    hosts = [host for each in entries if "endpoints" not in each for host in each["hosts"]]
    settings = [e["trafficPolicy"].get("tls", {}) for e in of_kind["DestinationRule"]]
    credentials = {each["credentialName"]: each for each in settings if "credentialName" in each}
    return Endpoints.model_validate(
        {
            "services": dict.fromkeys(sorted(contracts.deployables(contracts.load())), _SERVICE),
            "gateway": {"listen": "127.0.0.1:1", "admin_socket": "/run/bp/admin.sock"},
            "partners": dict.fromkeys(sorted(hosts), "127.0.0.1:1"),
            "certs_dir": "/certs",
            "webhook_ca": "/partners/webhooks-ca.pem",
            "credentials": {name: _credential(name, each) for name, each in credentials.items()},
        }
    )


def _outside(entry: Kind) -> bool:
    return entry.get("location") == "MESH_EXTERNAL" and any(
        port["protocol"] == "HTTP" for port in entry["ports"]
    )


def _credential(name: str, tls: Kind) -> Kind:
    files: Kind = {"ca": f"/partners/{name}-ca.pem"}
    if tls["mode"] == "MUTUAL":
        files["client"] = {"cert": "/partners/c.pem", "key": "/partners/c.key"}
    return files
