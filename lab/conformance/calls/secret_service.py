"""What istio-agent does for a proxy: hands it its certificates and authorities by SDS."""

from collections.abc import AsyncIterator
from pathlib import Path

import grpc
from envoy_data_plane.envoy.config.core import v3 as core
from envoy_data_plane.envoy.extensions.transport_sockets.tls import v3 as tls
from envoy_data_plane.envoy.service.discovery import v3 as discovery
from envoy_data_plane.google.protobuf import Any

_SECRET = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"
_ROOT, _CERTIFICATE = "file-root:", "file-cert:"
"""Istio's names for mounted files."""
_SERVICE = "envoy.service.secret.v3.SecretDiscoveryService"


class SecretService:
    """An SDS server on a Unix socket, for one workload."""

    def __init__(self, socket: Path, certificates: Path) -> None:
        """Serve the certificates in a folder."""
        self._folder = certificates
        self._server = grpc.aio.server()
        stream = grpc.stream_stream_rpc_method_handler(
            self._stream, request_deserializer=bytes, response_serializer=bytes
        )
        handler = grpc.method_handlers_generic_handler(_SERVICE, {"StreamSecrets": stream})
        self._server.add_generic_rpc_handlers((handler,))
        self._server.add_insecure_port(f"unix:{socket}")

    async def start(self) -> None:
        """Start."""
        await self._server.start()

    async def stop(self) -> None:
        """Stop; streams end."""
        await self._server.stop(0)

    async def _stream(self, requests: AsyncIterator[bytes], _: object) -> AsyncIterator[bytes]:
        sent: tuple[str, ...] = ()
        async for body in requests:
            request = discovery.DiscoveryRequest.parse(body)
            names = tuple(request.resource_names)
            if names == sent:
                continue  # an acknowledgement
            sent = names
            resources = [Any(type_url=_SECRET, value=bytes(self._secret(n))) for n in names]
            yield bytes(
                discovery.DiscoveryResponse(
                    version_info="1", nonce="1", type_url=_SECRET, resources=resources
                )
            )

    def _secret(self, name: str) -> tls.Secret:
        if name == "ROOTCA":
            return _trusted(name, self._folder / "ca.pem")
        if name.startswith(_ROOT):
            return _trusted(name, Path(name.removeprefix(_ROOT)))
        if name.startswith(_CERTIFICATE):
            chain, _, key = name.removeprefix(_CERTIFICATE).partition("~")
            return _own(name, Path(chain), Path(key))
        return _own(name, self._folder / "cert.pem", self._folder / "key.pem")


def _trusted(name: str, authority: Path) -> tls.Secret:
    context = tls.CertificateValidationContext(trusted_ca=_inline(authority))
    return tls.Secret(name=name, validation_context=context)


def _own(name: str, chain: Path, key: Path) -> tls.Secret:
    certificate = tls.TlsCertificate(certificate_chain=_inline(chain), private_key=_inline(key))
    return tls.Secret(name=name, tls_certificate=certificate)


def _inline(path: Path) -> core.DataSource:
    return core.DataSource(inline_bytes=path.read_bytes())
