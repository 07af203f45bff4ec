"""Addresses and certificate files from the endpoints file.

`certs_dir`/<name>/ contains cert.pem, key.pem and ca.pem as Kubernetes projects secrets: they are
links into a folder, and one rename replaces that folder. Therefore Envoy watches
`certs_dir`/<name>/ itself.
"""

from pathlib import Path

from mesh.controlplane import model
from mesh.controlplane.ingest.endpoints import Endpoints, ServicePlace
from mesh.controlplane.ingest.faults import MeshFault
from services.contracts import NAMESPACE, spiffe_id

SERVICE_HOSTS = f".{NAMESPACE}.svc.cluster.local"
"""The suffix of service names in config/, the same as in a cluster's DNS."""
OWN_CERTIFICATE = "default"
"""The secret with a workload's own certificate. As in Istio, it has the same name in every proxy,
so equal clusters are equal in all of them."""
MESH_AUTHORITY = "ROOTCA"
"""The secret with the mesh's authority, as in Istio."""
AUTHORITY_OF = "-cacert"
"""The suffix of the secret with the authority that belongs to a credentialName, as in Istio."""
ISSUER_CREDENTIAL = "oauth"
"""The credentialName of the provider that signs customers' tokens."""


def parse_address(text: str) -> model.Address:
    """Parse an address such as "127.0.0.1:8443"."""
    host, _, port = text.rpartition(":")
    return model.Address(host, int(port))


def service_instances(place: ServicePlace) -> tuple[model.Instance, ...]:
    """Return the instances of a service; none if it only makes calls."""
    return tuple(
        model.Instance(
            parse_address(each.address), each.version, model.InstanceState[each.state], number
        )
        for number, each in place.numbered()
    )


def certificate(endpoints: Endpoints, owner: str, name: str) -> model.CertificateFiles:
    """Return the certificate of a mesh identity, or the public one, as the secret `name`."""
    folder = endpoints.certs_dir / owner
    return model.CertificateFiles(name, folder / "cert.pem", folder / "key.pem", folder)


def authority(endpoints: Endpoints, owner: str) -> model.AuthorityFile:
    """Return the mesh's own authority, from the folder of one mesh identity."""
    folder = endpoints.certs_dir / owner
    return model.AuthorityFile(MESH_AUTHORITY, folder / "ca.pem", folder)


def workload(name: str, endpoints: Endpoints, admin: Path) -> model.Workload:
    """Return a workload whose proxy has its admin page at a Unix socket."""
    return model.Workload(
        name=name,
        identity=spiffe_id(name),
        certificate=certificate(endpoints, name, OWN_CERTIFICATE),
        authority=authority(endpoints, name),
        admin_socket=admin,
        rotating=frozenset({OWN_CERTIFICATE}),
        connections_max=endpoints.connections_max,
    )


def webhook_authority(endpoints: Endpoints, credential_name: str) -> model.AuthorityFile:
    """Return the authority of the client certificates with which partners call the gateway."""
    path = endpoints.webhook_ca
    return model.AuthorityFile(f"{credential_name}{AUTHORITY_OF}", path, path.parent)


def credential(
    endpoints: Endpoints, name: str, *, mutual: bool
) -> tuple[model.AuthorityFile, model.CertificateFiles | None]:
    """Return the authority and the client certificate for the credentialName of a DestinationRule.

    `mutual` says whether its tls mode is MUTUAL. Raises MeshFault unless the mode fits.
    """
    found = endpoints.credentials.get(name)
    if found is None:
        raise MeshFault(f"the endpoints file lacks the files of credentialName {name}")
    if mutual != (found.client is not None):
        needed = "SIMPLE: it has no client certificate" if mutual else "MUTUAL"
        raise MeshFault(f"credentialName {name} needs tls mode {needed}")
    authority = model.AuthorityFile(f"{name}{AUTHORITY_OF}", found.ca, found.ca.parent)
    pair = found.client
    if pair is None:
        return authority, None
    return authority, model.CertificateFiles(name, pair.cert, pair.key, pair.cert.parent)
