from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from typing import ClassVar as _ClassVar

DESCRIPTOR: _descriptor.FileDescriptor

class ErrorReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ERROR_REASON_UNSPECIFIED: _ClassVar[ErrorReason]
    INVALID_ARGUMENT: _ClassVar[ErrorReason]
    UNKNOWN_FIELD: _ClassVar[ErrorReason]
    MALFORMED_BODY: _ClassVar[ErrorReason]
    UNAUTHENTICATED: _ClassVar[ErrorReason]
    SCOPE_MISSING: _ClassVar[ErrorReason]
    CALLER_FORBIDDEN: _ClassVar[ErrorReason]
    IDEMPOTENCY_KEY_MISSING: _ClassVar[ErrorReason]
    IDEMPOTENCY_KEY_INVALID: _ClassVar[ErrorReason]
    IDEMPOTENCY_KEY_REUSED: _ClassVar[ErrorReason]
    REQUEST_IN_PROGRESS: _ClassVar[ErrorReason]
    RATE_LIMITED: _ClassVar[ErrorReason]
    PAGE_TOKEN_INVALID: _ClassVar[ErrorReason]
    DEPENDENCY_UNAVAILABLE: _ClassVar[ErrorReason]
    DEADLINE_EXCEEDED: _ClassVar[ErrorReason]
    ROUTE_NOT_FOUND: _ClassVar[ErrorReason]
    REQUEST_TOO_LARGE: _ClassVar[ErrorReason]
    INTERNAL_ERROR: _ClassVar[ErrorReason]
    ACCOUNT_BUSY: _ClassVar[ErrorReason]
    UNSUPPORTED_MEDIA_TYPE: _ClassVar[ErrorReason]
    NOT_ACCEPTABLE: _ClassVar[ErrorReason]
    HTTP_VERSION_UNSUPPORTED: _ClassVar[ErrorReason]
    STEP_UP_REQUIRED: _ClassVar[ErrorReason]
    ORIGIN_FORBIDDEN: _ClassVar[ErrorReason]
ERROR_REASON_UNSPECIFIED: ErrorReason
INVALID_ARGUMENT: ErrorReason
UNKNOWN_FIELD: ErrorReason
MALFORMED_BODY: ErrorReason
UNAUTHENTICATED: ErrorReason
SCOPE_MISSING: ErrorReason
CALLER_FORBIDDEN: ErrorReason
IDEMPOTENCY_KEY_MISSING: ErrorReason
IDEMPOTENCY_KEY_INVALID: ErrorReason
IDEMPOTENCY_KEY_REUSED: ErrorReason
REQUEST_IN_PROGRESS: ErrorReason
RATE_LIMITED: ErrorReason
PAGE_TOKEN_INVALID: ErrorReason
DEPENDENCY_UNAVAILABLE: ErrorReason
DEADLINE_EXCEEDED: ErrorReason
ROUTE_NOT_FOUND: ErrorReason
REQUEST_TOO_LARGE: ErrorReason
INTERNAL_ERROR: ErrorReason
ACCOUNT_BUSY: ErrorReason
UNSUPPORTED_MEDIA_TYPE: ErrorReason
NOT_ACCEPTABLE: ErrorReason
HTTP_VERSION_UNSUPPORTED: ErrorReason
STEP_UP_REQUIRED: ErrorReason
ORIGIN_FORBIDDEN: ErrorReason
