"""Addresses and certificate files out of the endpoints file.

`certs_dir`/<name>/ holds cert.pem, key.pem and ca.pem as Kubernetes projects secrets: links into a
folder that is replaced by one rename, which is why the folder itself is watched.
"""

from mesh.controlplane import model
from mesh.controlplane.ingest.endpoints import Endpoints
from mesh.controlplane.ingest.faults import MeshFault
from services.contracts import NAMESPACE

SERVICE_HOSTS = f".{NAMESPACE}.svc.cluster.local"
"""End of the name by which config/ calls a service of the mesh, as in a cluster's DNS."""
PARTNERS_CREDENTIAL = "partners"
ACH_CREDENTIAL = "ach-network-client"


def parse_address(text: str) -> model.Address:
    """Return "127.0.0.1:8443" as an address."""
    host, _, port = text.rpartition(":")
    return model.Address(host, int(port))


def certificate(endpoints: Endpoints, name: str) -> model.CertificateFiles:
    """Return the certificate of a mesh identity, or of the gateway."""
    folder = endpoints.certs_dir / name
    return model.CertificateFiles(name, folder / "cert.pem", folder / "key.pem", folder)


def authority(endpoints: Endpoints, name: str) -> model.AuthorityFile:
    """Return the mesh's own authority as a mesh identity has it."""
    folder = endpoints.certs_dir / name
    return model.AuthorityFile(f"{name}-ca", folder / "ca.pem", folder)


def partner_authority(endpoints: Endpoints) -> model.AuthorityFile:
    """Return the authority that signs the partners' certificates."""
    path = endpoints.partner_ca
    return model.AuthorityFile(f"{PARTNERS_CREDENTIAL}-ca", path, path.parent)


def client_credential(endpoints: Endpoints, name: str) -> model.CertificateFiles:
    """Return a client certificate by the credentialName that a DestinationRule gives."""
    if name != ACH_CREDENTIAL:
        raise MeshFault(f"no client certificate is known as {name}")
    pair = endpoints.ach_client_cert
    return model.CertificateFiles(name, pair.cert, pair.key, pair.cert.parent)
