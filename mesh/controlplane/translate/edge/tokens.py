"""Customer tokens at the gateway: the accepted issuer, and the claims that services get."""

from envoy_data_plane.envoy.config.core import v3 as core
from envoy_data_plane.envoy.extensions.filters.http.jwt_authn import v3 as jwt
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager import v3 as hcm

from mesh.controlplane import model
from mesh.controlplane.translate.clusters import partner_cluster_name
from mesh.controlplane.translate.edge import names
from mesh.controlplane.translate.http import http_filter
from mesh.controlplane.translate.parts import span

_PROVIDER = "oauth"
_SKEW_S = 5
_CACHE_MS = 300_000
_REFETCH_MS = 1_000
_TOKENS_CACHED = 2_000


def jwt_filter(edge: model.Edge) -> hcm.HttpFilter:
    """Return the filter. A route names its requirement; a route without one needs no token."""
    requirement = jwt.JwtRequirement(provider_name=_PROVIDER)
    return http_filter(
        names.JWT,
        jwt.JwtAuthentication(
            providers={_PROVIDER: _provider(edge.issuer)},
            requirement_map={names.CUSTOMER_REQUIREMENT: requirement},
            bypass_cors_preflight=True,
        ),
    )


def _provider(issuer: model.TokenIssuer) -> jwt.JwtProvider:
    return jwt.JwtProvider(
        issuer=issuer.issuer,
        audiences=list(issuer.audiences),
        require_expiration=True,
        clock_skew_seconds=_SKEW_S,
        remote_jwks=_jwks(issuer),
        from_headers=[jwt.JwtHeader(name="authorization", value_prefix="Bearer ")],
        payload_in_metadata=names.CLAIMS,
        normalize_payload_in_metadata=jwt.JwtProviderNormalizePayload(
            space_delimited_claims=[names.SCOPE_CLAIM]
        ),
        claim_to_headers=[
            jwt.JwtClaimToHeader(claim_name=claim, header_name=header)
            for claim, header in issuer.claim_headers
        ],
        # A token is verified once and cached until it expires: verifying ES256 costs more than
        # everything else that the gateway does for a request.
        jwt_cache_config=jwt.JwtCacheConfig(jwt_cache_size=_TOKENS_CACHED),
    )


def _jwks(issuer: model.TokenIssuer) -> jwt.RemoteJwks:
    return jwt.RemoteJwks(
        http_uri=core.HttpUri(
            uri=issuer.jwks_uri,
            cluster=partner_cluster_name(issuer.jwks_partner),
            timeout=span(issuer.timeout_ms),
        ),
        cache_duration=span(_CACHE_MS),
        # The keys are fetched in advance, so that no customer waits for them. During an outage of
        # the provider the gateway keeps working with the keys that it has.
        async_fetch=jwt.JwksAsyncFetch(failed_refetch_duration=span(_REFETCH_MS)),
    )
