from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from typing import ClassVar as _ClassVar

DESCRIPTOR: _descriptor.FileDescriptor

class AuthErrorReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    AUTH_ERROR_REASON_UNSPECIFIED: _ClassVar[AuthErrorReason]
    CREDENTIALS_INVALID: _ClassVar[AuthErrorReason]
    OTP_INVALID: _ClassVar[AuthErrorReason]
    LOGIN_SESSION_INVALID: _ClassVar[AuthErrorReason]
    TRIES_EXHAUSTED: _ClassVar[AuthErrorReason]
    OTP_RESEND_TOO_SOON: _ClassVar[AuthErrorReason]
    OTP_SENDS_EXHAUSTED: _ClassVar[AuthErrorReason]
    METHOD_UNAVAILABLE: _ClassVar[AuthErrorReason]
    FACE_NOT_MATCHED: _ClassVar[AuthErrorReason]
    FACE_NOT_LIVE: _ClassVar[AuthErrorReason]
    FACE_NOT_FOUND: _ClassVar[AuthErrorReason]
    FACES_SEVERAL: _ClassVar[AuthErrorReason]
    LIVENESS_PENDING: _ClassVar[AuthErrorReason]
    PICTURE_INVALID: _ClassVar[AuthErrorReason]
    ASSERTION_INVALID: _ClassVar[AuthErrorReason]
    REFRESH_TOKEN_INVALID: _ClassVar[AuthErrorReason]
    REFRESH_TOKEN_REUSED: _ClassVar[AuthErrorReason]
    PASSWORD_UNSUITABLE: _ClassVar[AuthErrorReason]
    PASSWORD_BREACHED: _ClassVar[AuthErrorReason]
    SESSION_NOT_FOUND: _ClassVar[AuthErrorReason]
    DEVICE_NOT_FOUND: _ClassVar[AuthErrorReason]
    TOTP_ALREADY_ENROLLED: _ClassVar[AuthErrorReason]
    TOTP_NOT_ENROLLED: _ClassVar[AuthErrorReason]
    RECEIPT_SIGNATURE_INVALID: _ClassVar[AuthErrorReason]
    RECEIPT_MALFORMED: _ClassVar[AuthErrorReason]
AUTH_ERROR_REASON_UNSPECIFIED: AuthErrorReason
CREDENTIALS_INVALID: AuthErrorReason
OTP_INVALID: AuthErrorReason
LOGIN_SESSION_INVALID: AuthErrorReason
TRIES_EXHAUSTED: AuthErrorReason
OTP_RESEND_TOO_SOON: AuthErrorReason
OTP_SENDS_EXHAUSTED: AuthErrorReason
METHOD_UNAVAILABLE: AuthErrorReason
FACE_NOT_MATCHED: AuthErrorReason
FACE_NOT_LIVE: AuthErrorReason
FACE_NOT_FOUND: AuthErrorReason
FACES_SEVERAL: AuthErrorReason
LIVENESS_PENDING: AuthErrorReason
PICTURE_INVALID: AuthErrorReason
ASSERTION_INVALID: AuthErrorReason
REFRESH_TOKEN_INVALID: AuthErrorReason
REFRESH_TOKEN_REUSED: AuthErrorReason
PASSWORD_UNSUITABLE: AuthErrorReason
PASSWORD_BREACHED: AuthErrorReason
SESSION_NOT_FOUND: AuthErrorReason
DEVICE_NOT_FOUND: AuthErrorReason
TOTP_ALREADY_ENROLLED: AuthErrorReason
TOTP_NOT_ENROLLED: AuthErrorReason
RECEIPT_SIGNATURE_INVALID: AuthErrorReason
RECEIPT_MALFORMED: AuthErrorReason
