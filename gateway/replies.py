"""What the gateway answers by itself: one table of HTTP status, google.rpc.Code, reason, words.

Every answer of the gateway has the same shape as those of the services: google.rpc.Status in JSON
with an ErrorInfo whose reason is one of bp.policy.v1.ErrorReason. Both Envoy's own replies and
the Lua filter's are made from this table.
"""

from dataclasses import dataclass
from typing import Any

DOMAIN = "bp.policy.v1"
ERROR_INFO = "type.googleapis.com/google.rpc.ErrorInfo"
RETRY_INFO = "type.googleapis.com/google.rpc.RetryInfo"


@dataclass(frozen=True, slots=True)
class GatewayReply:
    """One kind of refusal. `retry_after_s` 0 means: repeating it as it is does not help."""

    http: int
    code: int
    reason: str
    message: str
    retry_after_s: int = 0


REPLIES = (
    GatewayReply(400, 3, "MALFORMED_BODY", "The request cannot be understood. Correct it."),
    GatewayReply(401, 16, "UNAUTHENTICATED", "No valid token came with the call. Log in again."),
    GatewayReply(403, 7, "CALLER_FORBIDDEN", "The caller may not call this method."),
    GatewayReply(404, 5, "ROUTE_NOT_FOUND", "No such path, or not with this method."),
    GatewayReply(405, 5, "ROUTE_NOT_FOUND", "No such path, or not with this method."),
    GatewayReply(408, 4, "DEADLINE_EXCEEDED", "The request did not arrive in time. Repeat it.", 1),
    GatewayReply(413, 3, "REQUEST_TOO_LARGE", "The body is too large."),
    GatewayReply(414, 3, "REQUEST_TOO_LARGE", "The path is too long."),
    GatewayReply(415, 3, "MALFORMED_BODY", "The body must be application/json."),
    GatewayReply(426, 3, "MALFORMED_BODY", "The protocol is too old. Use HTTP/1.1 or HTTP/2."),
    GatewayReply(429, 8, "RATE_LIMITED", "Too many requests. Come back after the time given.", 1),
    GatewayReply(431, 3, "REQUEST_TOO_LARGE", "The headers are too large."),
    GatewayReply(500, 13, "INTERNAL_ERROR", "The bank failed. The request id finds it in the log."),
    GatewayReply(501, 13, "INTERNAL_ERROR", "The bank failed. The request id finds it in the log."),
    GatewayReply(502, 14, "DEPENDENCY_UNAVAILABLE", "Part of the bank is out of reach. Repeat.", 1),
    GatewayReply(503, 14, "DEPENDENCY_UNAVAILABLE", "Part of the bank is out of reach. Repeat.", 1),
    GatewayReply(504, 4, "DEADLINE_EXCEEDED", "The call took longer than its deadline.", 1),
)

FALLBACK = GatewayReply(500, 13, "INTERNAL_ERROR", "The bank failed. The request id finds it.")


def status_json(reply: GatewayReply, reason: str | None = None) -> dict[str, Any]:
    """Return a reply as google.rpc.Status in JSON."""
    info = {
        "@type": ERROR_INFO,
        "reason": reason or reply.reason,
        "domain": DOMAIN,
        "metadata": dict[str, str](),
    }
    details: list[dict[str, Any]] = [info]
    if reply.retry_after_s:
        details.append({"@type": RETRY_INFO, "retryDelay": f"{reply.retry_after_s}s"})
    return {"code": reply.code, "message": reply.message, "details": details}
