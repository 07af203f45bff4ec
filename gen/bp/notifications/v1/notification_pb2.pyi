import datetime

from bp.policy.v1 import policy_pb2 as _policy_pb2
from google.api import field_behavior_pb2 as _field_behavior_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Template(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TEMPLATE_UNSPECIFIED: _ClassVar[Template]
    TRANSFER_FAILED: _ClassVar[Template]
    TRANSFER_COMPLETED: _ClassVar[Template]
    TRANSFER_RETURNED: _ClassVar[Template]
    TRANSFER_CANCELLED: _ClassVar[Template]
    TRANSFER_RECEIVED: _ClassVar[Template]
    TRANSFER_SUBMITTED: _ClassVar[Template]
    TRANSFER_SENT: _ClassVar[Template]
    NEW_DEVICE: _ClassVar[Template]
    LOGIN_LOCKED: _ClassVar[Template]
    TOKEN_REUSED: _ClassVar[Template]
    PASSWORD_CHANGED: _ClassVar[Template]
    FACTOR_ADDED: _ClassVar[Template]
    FACTOR_REMOVED: _ClassVar[Template]
TEMPLATE_UNSPECIFIED: Template
TRANSFER_FAILED: Template
TRANSFER_COMPLETED: Template
TRANSFER_RETURNED: Template
TRANSFER_CANCELLED: Template
TRANSFER_RECEIVED: Template
TRANSFER_SUBMITTED: Template
TRANSFER_SENT: Template
NEW_DEVICE: Template
LOGIN_LOCKED: Template
TOKEN_REUSED: Template
PASSWORD_CHANGED: Template
FACTOR_ADDED: Template
FACTOR_REMOVED: Template

class Notification(_message.Message):
    __slots__ = ("event_id", "template", "title", "body", "transfer_id", "state", "create_time", "deliver_time")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[Notification.State]
        PENDING: _ClassVar[Notification.State]
        DELIVERED: _ClassVar[Notification.State]
        UNDELIVERABLE: _ClassVar[Notification.State]
    STATE_UNSPECIFIED: Notification.State
    PENDING: Notification.State
    DELIVERED: Notification.State
    UNDELIVERABLE: Notification.State
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    TEMPLATE_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    TRANSFER_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    DELIVER_TIME_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    template: Template
    title: str
    body: str
    transfer_id: str
    state: Notification.State
    create_time: _timestamp_pb2.Timestamp
    deliver_time: _timestamp_pb2.Timestamp
    def __init__(self, event_id: _Optional[str] = ..., template: _Optional[_Union[Template, str]] = ..., title: _Optional[str] = ..., body: _Optional[str] = ..., transfer_id: _Optional[str] = ..., state: _Optional[_Union[Notification.State, str]] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., deliver_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
