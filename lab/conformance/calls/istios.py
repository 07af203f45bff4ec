"""Proxies that istiod drives: their bootstrap, and the mesh's files with addresses on loopback."""

import copy
import json
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from lab.conformance import objects
from lab.conformance.api import Api
from lab.conformance.calls.machine import (
    CALLED,
    CALLER,
    CREDENTIAL,
    ISSUER,
    ISSUER_CREDENTIAL,
    PARTNER,
    Machine,
)
from lab.conformance.calls.secret_service import SecretService
from lab.conformance.certificates import write_private
from lab.conformance.discovery import Node
from lab.conformance.istio import Files
from lab.conformance.processes import Istiod, envoy
from mesh.istio.certificates import FOLDER
from services.contracts import GATEWAY, NAMESPACE

Kind = dict[str, Any]
EDGE = objects.address(objects.WORKLOADS.index(GATEWAY))
"""The invented address of the gateway's pod, by which istiod finds its service."""
_SOCKETS = "unix:///run/bp/"
_HTTP2 = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_TYPES = "type.googleapis.com/envoy.extensions"


def authority(machine: Machine) -> None:
    """Write the mesh's authority in the form in which istiod reads one."""
    folder = machine.folder / "cacerts"
    folder.mkdir()
    pem = machine.mesh.pem.read_bytes()
    for name in ("ca-cert.pem", "root-cert.pem", "cert-chain.pem"):
        (folder / name).write_bytes(pem)
    write_private(folder / "ca-key.pem", machine.mesh.key.read_bytes())


async def move(api: Api, resources: Iterable[Kind], machine: Machine) -> None:
    """Give the cluster the run's addresses, sockets and credentials."""
    await api.delete(objects.addresses(CALLED, ""))
    for each in on_loopback(resources, machine):
        refusal = await api.apply(each)
        if refusal:
            raise RuntimeError(f"{refusal.resource}: {refusal.reason}")


def on_loopback(resources: Iterable[Kind], machine: Machine) -> Iterator[Kind]:
    """Yield the mesh's files with the run's addresses, sockets and credentials."""
    for each in resources:
        changed = copy.deepcopy(each)
        if changed["kind"] == "Sidecar" and "workloadSelector" in changed["spec"]:
            _move_sockets(changed["spec"], machine)
        if changed["kind"] == "ServiceEntry":
            _move_partner(changed["spec"], machine)
        if changed["kind"] == "Gateway":
            _move_gateway(changed["spec"], machine)
        yield changed
    yield _called(machine)
    yield objects.service(GATEWAY, machine.edge_port)
    yield objects.addresses(GATEWAY, EDGE, machine.edge_port)
    authority = {"cacert": machine.partner.pem.read_bytes()}
    for name in (CREDENTIAL, ISSUER_CREDENTIAL):
        yield objects.secret(f"{name}-cacert", authority)


def _called(machine: Machine) -> Kind:
    """Return the called workload; Kubernetes refuses loopback in an EndpointSlice."""
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "WorkloadEntry",
        "metadata": {"name": f"{CALLED}-on-loopback", "namespace": NAMESPACE},
        "spec": {
            "address": machine.address,
            "labels": {"app": CALLED},
            "serviceAccount": CALLED,
        },
    }


def _move_partner(spec: Kind, machine: Machine) -> None:
    moved = {PARTNER: machine.partner_port, ISSUER: machine.issuer_port}
    for place in (moved[host] for host in spec["hosts"] if host in moved):
        (port,) = spec["ports"]
        port.pop("targetPort", None)
        address = {"address": "127.0.0.1", "ports": {port["name"]: place}}
        spec.update(resolution="STATIC", endpoints=[address])


def _move_gateway(spec: Kind, machine: Machine) -> None:
    """Let the gateway listen on loopback, with the run's certificates."""
    for server in spec["servers"]:
        server["bind"] = machine.address
        tls = server["tls"]
        for key in {"serverCertificate", "privateKey", "caCertificates"} & tls.keys():
            tls[key] = tls[key].replace(FOLDER, str(machine.folder / "mounted"))


def mount(machine: Machine) -> None:
    """Write the gateway's certificate as its pod has it."""
    folder = machine.folder / "mounted" / "edge"
    folder.mkdir(parents=True)
    own = machine.certificates / "edge"
    (folder / "tls.crt").write_bytes((own / "cert.pem").read_bytes())
    write_private(folder / "tls.key", (own / "key.pem").read_bytes())
    (folder / "ca.crt").write_bytes(machine.webhooks.pem.read_bytes())


def _move_sockets(spec: Kind, machine: Machine) -> None:
    workload = spec["workloadSelector"]["labels"]["app"]
    folder = machine.socket(workload, "in").parent
    for each in (*spec.get("ingress", ()), *spec["egress"]):
        for key in ("bind", "defaultEndpoint"):
            if key in each:
                each[key] = each[key].replace(_SOCKETS, f"unix://{folder}/")


@asynccontextmanager
async def proxies(machine: Machine, files: Files, istiod: Istiod) -> AsyncGenerator[None]:
    """Run the proxies of the caller, the called service and the gateway until the block ends."""
    mount(machine)
    async with AsyncExitStack() as stack:
        for name in (CALLED, CALLER, GATEWAY):
            service = SecretService(machine.socket(name, "sds"), machine.certificates / name)
            await service.start()
            stack.push_async_callback(service.stop)
            bootstrap = machine.folder / f"istio-{name}.json"
            more = files.bootstrap() if name == GATEWAY else {}
            bootstrap.write_text(json.dumps({**_bootstrap(machine, name, istiod), **more}))
            stack.enter_context(envoy(bootstrap, machine.folder / f"istio-{name}.log"))
        yield


def _bootstrap(machine: Machine, name: str, istiod: Istiod) -> Kind:
    router = name == GATEWAY
    node = Node(name, EDGE if router else machine.address, router=router)
    ads = {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"}
    stream = {
        "api_type": "GRPC",
        "transport_api_version": "V3",
        "set_node_on_first_message_only": True,
        "grpc_services": [{"envoy_grpc": {"cluster_name": "xds-grpc"}}],
    }
    host, port = istiod.secure.split(":")
    address = {"socket_address": {"address": host, "port_value": int(port)}}
    discovery = {**_cluster("xds-grpc", address), "transport_socket": _tls(machine, name)}
    secrets = _cluster("sds-grpc", {"pipe": {"path": str(machine.socket(name, "sds"))}})
    return {
        "node": {"id": node.id, "cluster": name, "metadata": node.metadata},
        "admin": {"address": {"pipe": {"path": str(machine.socket(name, "admin")), "mode": 384}}},
        "dynamic_resources": {"lds_config": ads, "cds_config": ads, "ads_config": stream},
        "static_resources": {"clusters": [discovery, secrets]},
    }


def _cluster(name: str, address: Kind) -> Kind:
    endpoint = {"endpoint": {"address": address}}
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "5s",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [endpoint]}],
        },
        "typed_extension_protocol_options": {
            _HTTP2: {
                "@type": f"{_TYPES}.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {"http2_protocol_options": {}},
            }
        },
    }


def _tls(machine: Machine, name: str) -> Kind:
    folder = machine.certificates / name
    own = {
        "certificate_chain": {"filename": str(folder / "cert.pem")},
        "private_key": {"filename": str(folder / "key.pem")},
    }
    context = {
        "tls_certificates": [own],
        "validation_context": {"trusted_ca": {"filename": str(folder / "ca.pem")}},
        "alpn_protocols": ["h2"],
    }
    return {
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": f"{_TYPES}.transport_sockets.tls.v3.UpstreamTlsContext",
            "sni": "istiod.istio-system.svc",
            "common_tls_context": context,
        },
    }
