"""What the edge answers by itself: one table of HTTP status, google.rpc.Code, reason, words.

Every answer of the edge has the same shape as those of the services: google.rpc.Status in JSON
with an ErrorInfo whose reason is one of bp.policy.v1.ErrorReason. Both Envoy's own replies and
the Lua filter's are made from this table.
"""

from dataclasses import dataclass
from typing import Any

DOMAIN = "bp.policy.v1"
ERROR_INFO = "type.googleapis.com/google.rpc.ErrorInfo"
RETRY_INFO = "type.googleapis.com/google.rpc.RetryInfo"


@dataclass(frozen=True, slots=True)
class EdgeReply:
    """One kind of refusal. `retry_after_s` 0 means: repeating it as it is does not help."""

    http: int
    code: int
    reason: str
    message: str
    retry_after_s: int = 0


REPLIES = (
    EdgeReply(400, 3, "MALFORMED_BODY", "The request cannot be understood. Correct it."),
    EdgeReply(401, 16, "UNAUTHENTICATED", "No valid token came with the call. Log in again."),
    EdgeReply(403, 7, "CALLER_FORBIDDEN", "The caller may not call this method."),
    EdgeReply(404, 5, "ROUTE_NOT_FOUND", "No such path, or not with this method."),
    EdgeReply(405, 5, "ROUTE_NOT_FOUND", "No such path, or not with this method."),
    EdgeReply(408, 4, "DEADLINE_EXCEEDED", "The request did not arrive in time. Repeat it.", 1),
    EdgeReply(413, 3, "REQUEST_TOO_LARGE", "The body is too large."),
    EdgeReply(414, 3, "REQUEST_TOO_LARGE", "The path is too long."),
    EdgeReply(415, 3, "MALFORMED_BODY", "The body must be application/json."),
    EdgeReply(426, 3, "MALFORMED_BODY", "The protocol is too old. Use HTTP/1.1 or HTTP/2."),
    EdgeReply(429, 8, "RATE_LIMITED", "Too many requests. Come back after the time given.", 1),
    EdgeReply(431, 3, "REQUEST_TOO_LARGE", "The headers are too large."),
    EdgeReply(500, 13, "INTERNAL_ERROR", "The bank failed. The request id finds it in the log."),
    EdgeReply(501, 13, "INTERNAL_ERROR", "The bank failed. The request id finds it in the log."),
    EdgeReply(502, 14, "DEPENDENCY_UNAVAILABLE", "Part of the bank is out of reach. Repeat.", 1),
    EdgeReply(503, 14, "DEPENDENCY_UNAVAILABLE", "Part of the bank is out of reach. Repeat.", 1),
    EdgeReply(504, 4, "DEADLINE_EXCEEDED", "The call took longer than its deadline.", 1),
)

FALLBACK = EdgeReply(500, 13, "INTERNAL_ERROR", "The bank failed. The request id finds it.")


def status_json(reply: EdgeReply, reason: str | None = None) -> dict[str, Any]:
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
