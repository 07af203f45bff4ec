from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from typing import ClassVar as _ClassVar

DESCRIPTOR: _descriptor.FileDescriptor

class NotificationsErrorReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    NOTIFICATIONS_ERROR_REASON_UNSPECIFIED: _ClassVar[NotificationsErrorReason]
    DEVICE_UNREGISTERED: _ClassVar[NotificationsErrorReason]
NOTIFICATIONS_ERROR_REASON_UNSPECIFIED: NotificationsErrorReason
DEVICE_UNREGISTERED: NotificationsErrorReason
