"""Proxies that istiod drives: their bootstrap, and the mesh's files with addresses on loopback."""

import copy
import json
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from lab.conformance import objects
from lab.conformance.api import Api
from lab.conformance.calls.machine import CALLED, CALLER, CREDENTIAL, PARTNER, Machine
from lab.conformance.calls.secret_service import SecretService
from lab.conformance.certificates import key_pem, write_private
from lab.conformance.discovery import Node
from lab.conformance.processes import Istiod, envoy
from services.contracts import NAMESPACE

Kind = dict[str, Any]
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
    write_private(folder / "ca-key.pem", key_pem(machine.mesh.key))


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
        if changed["kind"] == "ServiceEntry" and PARTNER in changed["spec"]["hosts"]:
            (port,) = changed["spec"]["ports"]
            port.pop("targetPort", None)
            ports = {port["name"]: machine.partner_port}
            changed["spec"].update(
                resolution="STATIC", endpoints=[{"address": "127.0.0.1", "ports": ports}]
            )
        yield changed
    yield _called(machine)
    yield objects.secret(f"{CREDENTIAL}-cacert", {"cacert": machine.partner.pem.read_bytes()})


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


def _move_sockets(spec: Kind, machine: Machine) -> None:
    workload = spec["workloadSelector"]["labels"]["app"]
    folder = machine.socket(workload, "in").parent
    for each in (*spec.get("ingress", ()), *spec["egress"]):
        for key in ("bind", "defaultEndpoint"):
            if key in each:
                each[key] = each[key].replace(_SOCKETS, f"unix://{folder}/")


@asynccontextmanager
async def proxies(machine: Machine, istiod: Istiod) -> AsyncGenerator[None]:
    """Run the proxies of the caller and the called service until the block ends."""
    async with AsyncExitStack() as stack:
        for name in (CALLED, CALLER):
            service = SecretService(machine.socket(name, "sds"), machine.certificates / name)
            await service.start()
            stack.push_async_callback(service.stop)
            bootstrap = machine.folder / f"istio-{name}.json"
            bootstrap.write_text(json.dumps(_bootstrap(machine, name, istiod)))
            stack.enter_context(envoy(bootstrap, machine.folder / f"istio-{name}.log"))
        yield


def _bootstrap(machine: Machine, name: str, istiod: Istiod) -> Kind:
    node = Node(name, machine.address)
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
