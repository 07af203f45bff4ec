"""TLS: secrets, and the contexts that use them by name.

Certificates come by SDS, so a renewed certificate is loaded without a dropped connection. Inside
the mesh every connection uses TLS 1.3 with a client certificate.
"""

from dataclasses import dataclass

from envoy_data_plane.envoy.config.core import v3 as core
from envoy_data_plane.envoy.extensions.transport_sockets.tls import v3 as tls
from envoy_data_plane.envoy.type.matcher import v3 as matcher

from mesh.controlplane import model
from mesh.controlplane.translate.parts import SecretSource, exact, packed, prefix

HANDSHAKE_MS_MAX = 10_000
"""Without it, Envoy keeps a silent connection as long as an idle one: an hour in the mesh."""

_VERSIONS = {
    model.TlsVersion.V1_2: tls.TlsParametersTlsProtocol.TLSv1_2,
    model.TlsVersion.V1_3: tls.TlsParametersTlsProtocol.TLSv1_3,
}
_URI = tls.SubjectAltNameMatcherSanType.URI
_DNS = tls.SubjectAltNameMatcherSanType.DNS


@dataclass(frozen=True, slots=True)
class OwnSecrets:
    """The names of a workload's own secrets: the same for all workloads, so clusters are equal."""

    certificate: str
    authority: str


def own_secrets(workload: model.Workload) -> OwnSecrets:
    """Return the names of a workload's own secrets."""
    return OwnSecrets(workload.certificate.name, workload.authority.name)


def certificate_secret(files: model.CertificateFiles) -> tls.Secret:
    """Return the secret of a certificate and its key."""
    return tls.Secret(
        name=files.name,
        tls_certificate=tls.TlsCertificate(
            certificate_chain=core.DataSource(filename=str(files.cert)),
            private_key=core.DataSource(filename=str(files.key)),
            watched_directory=core.WatchedDirectory(path=str(files.watched)),
        ),
    )


def authority_secret(file: model.AuthorityFile) -> tls.Secret:
    """Return the secret of a trusted authority."""
    return tls.Secret(
        name=file.name,
        validation_context=tls.CertificateValidationContext(
            trusted_ca=core.DataSource(filename=str(file.ca)),
            watched_directory=core.WatchedDirectory(path=str(file.watched)),
        ),
    )


def workload_secrets(workload: model.Workload) -> list[tls.Secret]:
    """Return the secrets that every proxy has: its own certificate and the mesh's authority."""
    return [certificate_secret(workload.certificate), authority_secret(workload.authority)]


def partner_secrets(partner: model.Partner) -> list[tls.Secret]:
    """Return the secrets with which a partner is called."""
    own = [] if partner.client is None else [certificate_secret(partner.client)]
    return [authority_secret(partner.authority), *own]


def inbound_socket(
    workload: model.Workload, peer_prefix: str, source: SecretSource
) -> core.TransportSocket:
    """Return the server side of mesh TLS: a client must have an identity of the trust domain."""
    peers = _san(_URI, prefix(peer_prefix))
    context = _mesh_context(own_secrets(workload), source, peers)
    context.alpn_protocols = ["h2"]
    return _socket(
        tls.DownstreamTlsContext(common_tls_context=context, require_client_certificate=True)
    )


def mesh_socket(
    target: model.ServiceTarget, own: OwnSecrets, source: SecretSource
) -> core.TransportSocket:
    """Return the client side of mesh TLS: the server must have exactly one identity."""
    context = _mesh_context(own, source, _san(_URI, exact(target.identity)))
    context.alpn_protocols = ["h2"]
    return _socket(tls.UpstreamTlsContext(common_tls_context=context, sni=target.name))


def partner_socket(partner: model.Partner, source: SecretSource) -> core.TransportSocket:
    """Return TLS to a partner, with the bank's client certificate if the partner requires one."""
    names = [_san(_DNS, exact(name)) for name in partner.subject_names]
    context = tls.CommonTlsContext(
        tls_params=_versions(model.TlsVersion.V1_2, model.TlsVersion.V1_3),
        combined_validation_context=_validation(partner.authority.name, names, source),
    )
    if partner.client is not None:
        context.tls_certificate_sds_secret_configs = [_reference(partner.client.name, source)]
    return _socket(tls.UpstreamTlsContext(common_tls_context=context, sni=partner.sni))


def edge_socket(edge: model.Edge, source: SecretSource) -> core.TransportSocket:
    """Return the gateway's TLS: partners show a client certificate, customers have none."""
    context = tls.CommonTlsContext(
        tls_params=_versions(*edge.tls_versions),
        tls_certificate_sds_secret_configs=[_reference(edge.certificate.name, source)],
        validation_context_sds_secret_config=_reference(edge.webhook_authority.name, source),
        alpn_protocols=["h2", "http/1.1"],
    )
    return _socket(
        tls.DownstreamTlsContext(common_tls_context=context, require_client_certificate=False)
    )


def _mesh_context(
    own: OwnSecrets, source: SecretSource, peer: tls.SubjectAltNameMatcher
) -> tls.CommonTlsContext:
    return tls.CommonTlsContext(
        tls_params=_versions(model.TlsVersion.V1_3, model.TlsVersion.V1_3),
        tls_certificate_sds_secret_configs=[_reference(own.certificate, source)],
        combined_validation_context=_validation(own.authority, [peer], source),
    )


def _validation(
    authority: str, names: list[tls.SubjectAltNameMatcher], source: SecretSource
) -> tls.CommonTlsContextCombinedCertificateValidationContext:
    return tls.CommonTlsContextCombinedCertificateValidationContext(
        default_validation_context=tls.CertificateValidationContext(
            match_typed_subject_alt_names=names
        ),
        validation_context_sds_secret_config=_reference(authority, source),
    )


def _versions(low: model.TlsVersion, high: model.TlsVersion) -> tls.TlsParameters:
    return tls.TlsParameters(
        tls_minimum_protocol_version=_VERSIONS[low], tls_maximum_protocol_version=_VERSIONS[high]
    )


def _san(
    kind: tls.SubjectAltNameMatcherSanType, name: matcher.StringMatcher
) -> tls.SubjectAltNameMatcher:
    return tls.SubjectAltNameMatcher(san_type=kind, matcher=name)


def _reference(name: str, source: SecretSource) -> tls.SdsSecretConfig:
    return tls.SdsSecretConfig(name=name, sds_config=source(name))


def _socket(context: tls.DownstreamTlsContext | tls.UpstreamTlsContext) -> core.TransportSocket:
    return core.TransportSocket(name="envoy.transport_sockets.tls", typed_config=packed(context))
