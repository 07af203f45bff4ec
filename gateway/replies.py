"""The gateway's own answers: one table of HTTP status, google.rpc.Code, reason and message.

They have the same shape as the errors of the services: google.rpc.Status in JSON, with an ErrorInfo
whose reason is one of bp.policy.v1.ErrorReason. Envoy's own replies and the answers of the Lua
filter are both made from this table.
"""

from dataclasses import dataclass
from typing import Any

DOMAIN = "bp.policy.v1"
ERROR_INFO = "type.googleapis.com/google.rpc.ErrorInfo"
RETRY_INFO = "type.googleapis.com/google.rpc.RetryInfo"
CHALLENGE = 'Bearer realm="api.bp.example"'
"""The header WWW-Authenticate of a 401 to a request without a token (RFC 6750, 3)."""
INVALID_TOKEN = f'{CHALLENGE}, error="invalid_token"'
"""The same for a request whose token was refused (RFC 6750, 3.1)."""
STEP_UP = (
    f'{CHALLENGE}, error="insufficient_user_authentication",'
    ' error_description="The request needs a second factor that was presented recently",'
    ' max_age="%s"'
)
"""The same for a request whose second factor is too old, with its largest age (RFC 9470, 3)."""
BODY_KIB_MAX = 64
"""The largest body in KiB, as `bodyBytes` in mesh/config/gateway.yaml."""
PUBLIC_BODY_KIB_MAX = 8
"""The same for public methods, as `publicBodyBytes`."""
NO_LENGTH, TOO_LARGE, TOO_MANY = 411, 413, 429


def too_large_message(body_bytes: int) -> str:
    """Return the message of a 413; whole KiB, rounded down."""
    return f"The body is too large. Send at most {body_bytes // 1024} KiB."


@dataclass(frozen=True, slots=True)
class GatewayReply:
    """One kind of error response. `retry_after_s` 0 means that an unchanged retry does not help."""

    http: int
    code: int
    reason: str
    message: str
    retry_after_s: int = 0


CALLER_FORBIDDEN = GatewayReply(
    403, 7, "CALLER_FORBIDDEN", "The caller may not call this method. Check its permissions."
)
REPLIES = (
    GatewayReply(400, 3, "MALFORMED_BODY", "The request is malformed. Correct it, then retry."),
    GatewayReply(
        401, 16, "UNAUTHENTICATED", "The request has no valid credentials. Log in again and retry."
    ),
    CALLER_FORBIDDEN,
    GatewayReply(
        404, 5, "ROUTE_NOT_FOUND", "The path or resource does not exist. Check the path and ids."
    ),
    GatewayReply(
        405,
        5,
        "ROUTE_NOT_FOUND",
        "The path does not support this HTTP method. See the Allow header.",
    ),
    GatewayReply(
        406,
        3,
        "NOT_ACCEPTABLE",
        "The response is always application/json. Add it to the Accept header.",
    ),
    GatewayReply(408, 4, "DEADLINE_EXCEEDED", "The request arrived too slowly. Please retry.", 1),
    GatewayReply(
        NO_LENGTH,
        3,
        "MALFORMED_BODY",
        "The request does not give the length of its body. Send the header Content-Length.",
    ),
    GatewayReply(TOO_LARGE, 3, "REQUEST_TOO_LARGE", too_large_message(BODY_KIB_MAX * 1024)),
    GatewayReply(414, 3, "REQUEST_TOO_LARGE", "The path is too long. Send a shorter one."),
    GatewayReply(
        415,
        3,
        "UNSUPPORTED_MEDIA_TYPE",
        "The type of the body is not supported. Send application/json in UTF-8, uncompressed.",
    ),
    GatewayReply(
        426, 3, "HTTP_VERSION_UNSUPPORTED", "The HTTP version is too old. Use HTTP/1.1 or HTTP/2."
    ),
    GatewayReply(
        TOO_MANY,
        8,
        "RATE_LIMITED",
        "Too many requests. Wait the seconds in the Retry-After header, then retry.",
        1,
    ),
    GatewayReply(431, 3, "REQUEST_TOO_LARGE", "The headers are too large. Send smaller ones."),
    GatewayReply(
        500, 13, "INTERNAL_ERROR", "Internal error. Contact support with the x-request-id."
    ),
    GatewayReply(
        501, 13, "INTERNAL_ERROR", "Internal error. Contact support with the x-request-id."
    ),
    GatewayReply(
        502,
        14,
        "DEPENDENCY_UNAVAILABLE",
        "Part of the bank is temporarily unavailable. Please retry.",
        1,
    ),
    GatewayReply(
        503,
        14,
        "DEPENDENCY_UNAVAILABLE",
        "Part of the bank is temporarily unavailable. Please retry.",
        1,
    ),
    GatewayReply(
        504,
        4,
        "DEADLINE_EXCEEDED",
        "The request took longer than its deadline. "
        "Please retry, with the same Idempotency-Key if it had one.",
        1,
    ),
)

SCOPE_MISSING = GatewayReply(
    403,
    7,
    "SCOPE_MISSING",
    "The token lacks a scope that this method requires. "
    "Request a token with the scopes that the details name.",
)
"""The 403 of customers' routes; all other routes answer with CALLER_FORBIDDEN."""

ORIGIN_FORBIDDEN = GatewayReply(
    403,
    7,
    "ORIGIN_FORBIDDEN",
    "The site in the Origin header may not call this method. Use the bank's own site or app.",
)
"""The 403 of public routes. Browsers send the header, and a foreign site must not start a login."""

FALLBACK = GatewayReply(
    500, 13, "INTERNAL_ERROR", "Internal error. Contact support with the x-request-id."
)


def status_json(reply: GatewayReply, metadata: Any = None) -> dict[str, Any]:
    """Return a reply as google.rpc.Status in JSON; `metadata` is that of its ErrorInfo."""
    info = {
        "@type": ERROR_INFO,
        "reason": reply.reason,
        "domain": DOMAIN,
        "metadata": {} if metadata is None else metadata,
    }
    details: list[dict[str, Any]] = [info]
    if reply.retry_after_s:
        details.append({"@type": RETRY_INFO, "retryDelay": f"{reply.retry_after_s}s"})
    return {"code": reply.code, "message": reply.message, "details": details}
