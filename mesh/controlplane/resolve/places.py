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


def webhook_authority(endpoints: Endpoints) -> model.AuthorityFile:
    """Return the authority of the client certificates with which partners call the gateway."""
    path = endpoints.webhook_ca
    return model.AuthorityFile("webhook-clients-ca", path, path.parent)


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
    authority = model.AuthorityFile(f"partner-{name}-ca", found.ca, found.ca.parent)
    pair = found.client
    if pair is None:
        return authority, None
    return authority, model.CertificateFiles(name, pair.cert, pair.key, pair.cert.parent)
