"""TLS contexts of the tests' own servers and clients."""

import ssl
from pathlib import Path


def server_context(folder: Path, client_ca: Path | None = None) -> ssl.SSLContext:
    """Return a server's context; with `client_ca` a client certificate is required."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    if client_ca is not None:
        context.load_verify_locations(client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def client_context(ca: Path, folder: Path | None = None) -> ssl.SSLContext:
    """Return a client's context, with a certificate when a folder is given."""
    context = ssl.create_default_context(cafile=str(ca))
    if folder is not None:
        context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context
