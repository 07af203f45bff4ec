"""Customer tokens at the gateway: the accepted issuer, and the claims that services get.

Every request has its signature verified, which costs 0.05 to 0.1 ms of CPU, about 2 % of a
transfer. Envoy's cache of verified tokens would save it, but an entry stays until the token
expires: a token whose key is withdrawn would be accepted until then.
"""

from envoy_data_plane.envoy.config.core import v3 as core
from envoy_data_plane.envoy.extensions.filters.http.jwt_authn import v3 as jwt
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager import v3 as hcm

from gateway.request_check import TokenRules
from mesh.controlplane import model
from mesh.controlplane.translate.clusters import partner_cluster_name
from mesh.controlplane.translate.edge import names
from mesh.controlplane.translate.http import http_filter
from mesh.controlplane.translate.parts import span

_PROVIDER = "oauth"
_SKEW_S = 5
_AHEAD_S = 120
"""How far the issuer's clock may be ahead of the gateway's: as far as any clock may be wrong."""
_KEYS_EVERY_MS = 5_000
"""How old the gateway's key set may be: after this time plus one fetch, a new key is accepted and a
withdrawn key refused. Envoy cannot fetch the keys when it meets an unknown key id. With a duration
above five seconds, Envoy would fetch the keys five seconds early; with this one it does not."""
_REFETCH_MS = 1_000


def jwt_filter(edge: model.Edge) -> hcm.HttpFilter:
    """Return the filter. A route names its requirement; a route without one needs no token."""
    requirement = jwt.JwtRequirement(provider_name=_PROVIDER)
    return http_filter(
        names.JWT,
        jwt.JwtAuthentication(
            providers={_PROVIDER: _provider(edge.issuer, _retry(edge))},
            requirement_map={names.CUSTOMER_REQUIREMENT: requirement},
            bypass_cors_preflight=True,
        ),
    )


def token_rules(issuer: model.TokenIssuer) -> TokenRules:
    """Return the rules for the Lua code, which checks more strictly than Envoy.

    Envoy's arithmetic with times can overflow, and Envoy compares audiences loosely.
    """
    return TokenRules(
        lifetime_s=_lifetime_s_max(issuer),
        skew_s=_SKEW_S,
        ahead_s=_AHEAD_S,
        audiences=issuer.audiences,
        headers=tuple(header for _, header in issuer.claim_headers),
    )


def _lifetime_s_max(issuer: model.TokenIssuer) -> int:
    return issuer.lifetime_ms_max // 1000 + _AHEAD_S


def _provider(issuer: model.TokenIssuer, retry: core.RetryPolicy | None) -> jwt.JwtProvider:
    return jwt.JwtProvider(
        issuer=issuer.issuer,
        audiences=list(issuer.audiences),
        require_expiration=True,
        max_lifetime=span(1000 * _lifetime_s_max(issuer)),
        clock_skew_seconds=_SKEW_S,
        remote_jwks=_jwks(issuer, retry),
        from_headers=[jwt.JwtHeader(name="authorization", value_prefix="Bearer ")],
        payload_in_metadata=names.CLAIMS,
        normalize_payload_in_metadata=jwt.JwtProviderNormalizePayload(
            space_delimited_claims=[names.SCOPE_CLAIM]
        ),
        claim_to_headers=[
            jwt.JwtClaimToHeader(claim_name=claim, header_name=header)
            for claim, header in issuer.claim_headers
        ],
    )


def _jwks(issuer: model.TokenIssuer, retry: core.RetryPolicy | None) -> jwt.RemoteJwks:
    return jwt.RemoteJwks(
        http_uri=core.HttpUri(
            uri=issuer.jwks_uri,
            cluster=partner_cluster_name(issuer.jwks_partner),
            timeout=span(issuer.timeout_ms),
        ),
        retry_policy=retry,
        cache_duration=span(_KEYS_EVERY_MS),
        # The keys are fetched in advance, so that no customer waits for them. During an outage of
        # the provider the gateway keeps working with the keys that it has.
        async_fetch=jwt.JwksAsyncFetch(failed_refetch_duration=span(_REFETCH_MS)),
    )


def _retry(edge: model.Edge) -> core.RetryPolicy | None:
    """Return the retries of the key fetch. The longest wait is also the timeout of a try."""
    found = (each.traffic.retry for each in edge.partners if each.host == edge.issuer.jwks_partner)
    retry = next(found, None)
    if retry is None:
        return None
    return core.RetryPolicy(
        num_retries=retry.attempts,
        retry_back_off=core.BackoffStrategy(
            base_interval=span(retry.backoff_ms),
            max_interval=span(retry.per_try_timeout_ms or retry.backoff_ms),
        ),
    )
