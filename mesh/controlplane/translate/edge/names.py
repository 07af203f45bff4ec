"""Names that the gateway's filters and routes share."""

CORS = "envoy.filters.http.cors"
JWT = "envoy.filters.http.jwt_authn"
RBAC = "envoy.filters.http.rbac"
LUA = "envoy.filters.http.lua"
CALLER = "bp.filters.caller"
TRANSCODER = "envoy.filters.http.grpc_json_transcoder"
BUFFER = "envoy.filters.http.buffer"
LIMIT_ADDRESS = "bp.filters.limit_address"
LIMIT_CLASS = "bp.filters.limit_class"

CUSTOMER_REQUIREMENT = "customer"
CLAIMS = "claims"
SCOPE_CLAIM = "scope"
SUBJECT_HEADER = "x-bp-subject"
PARTNER_HEADER = "x-bp-partner"

# Metadata of the routes, and the keys in it.
EDGE = "bp.edge"
FORBIDDEN_REASON = "forbidden_reason"
FORBIDDEN_MESSAGE = "forbidden_message"
CUSTOMER_CLASS = "customer_class"
PARTNER_CLASS = "partner_class"
ADDRESS_CLASS = "address_class"

SUBJECT_KEY = "subject"
PARTNER_KEY = "partner"
ADDRESS_KEY = "remote_address"
