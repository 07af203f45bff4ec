"""Addresses and certificate files from the endpoints file.

`certs_dir`/<name>/ contains cert.pem, key.pem and ca.pem as Kubernetes projects secrets: they are
links into a folder, and one rename replaces that folder. Therefore Envoy watches
`certs_dir`/<name>/ itself.
"""

from mesh.controlplane import model
from mesh.controlplane.ingest.endpoints import Endpoints
from mesh.controlplane.ingest.faults import MeshFault
from services.contracts import NAMESPACE

SERVICE_HOSTS = f".{NAMESPACE}.svc.cluster.local"
"""The suffix of service names in config/, the same as in a cluster's DNS."""
PARTNERS_CREDENTIAL = "partners"
ACH_CREDENTIAL = "ach-network-client"


def parse_address(text: str) -> model.Address:
    """Parse an address such as "127.0.0.1:8443"."""
    host, _, port = text.rpartition(":")
    return model.Address(host, int(port))


def certificate(endpoints: Endpoints, name: str) -> model.CertificateFiles:
    """Return the certificate of a mesh identity, or of the gateway."""
    folder = endpoints.certs_dir / name
    return model.CertificateFiles(name, folder / "cert.pem", folder / "key.pem", folder)


def authority(endpoints: Endpoints, name: str) -> model.AuthorityFile:
    """Return the mesh's own authority, from the folder of one mesh identity."""
    folder = endpoints.certs_dir / name
    return model.AuthorityFile(f"{name}-ca", folder / "ca.pem", folder)


def partner_authority(endpoints: Endpoints) -> model.AuthorityFile:
    """Return the authority that signs the partners' certificates."""
    path = endpoints.partner_ca
    return model.AuthorityFile(f"{PARTNERS_CREDENTIAL}-ca", path, path.parent)


def client_credential(endpoints: Endpoints, name: str) -> model.CertificateFiles:
    """Return the client certificate for the credentialName of a DestinationRule."""
    if name != ACH_CREDENTIAL:
        raise MeshFault(f"the only client certificate is ach-network-client, not {name}")
    pair = endpoints.ach_client_cert
    return model.CertificateFiles(name, pair.cert, pair.key, pair.cert.parent)
