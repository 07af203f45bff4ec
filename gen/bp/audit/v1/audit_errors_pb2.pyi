from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from typing import ClassVar as _ClassVar

DESCRIPTOR: _descriptor.FileDescriptor

class AuditErrorReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    AUDIT_ERROR_REASON_UNSPECIFIED: _ClassVar[AuditErrorReason]
    CHAIN_UNKNOWN: _ClassVar[AuditErrorReason]
AUDIT_ERROR_REASON_UNSPECIFIED: AuditErrorReason
CHAIN_UNKNOWN: AuditErrorReason
