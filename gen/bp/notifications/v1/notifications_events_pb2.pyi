from bp.event.v1 import event_pb2 as _event_pb2
from bp.event.v1 import topics_pb2 as _topics_pb2
from bp.notifications.v1 import notification_pb2 as _notification_pb2
from bp.type.v1 import money_pb2 as _money_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class NotificationEvent(_message.Message):
    __slots__ = ("metadata", "notification_requested")
    METADATA_FIELD_NUMBER: _ClassVar[int]
    NOTIFICATION_REQUESTED_FIELD_NUMBER: _ClassVar[int]
    metadata: _event_pb2.EventMetadata
    notification_requested: NotificationRequested
    def __init__(self, metadata: _Optional[_Union[_event_pb2.EventMetadata, _Mapping]] = ..., notification_requested: _Optional[_Union[NotificationRequested, _Mapping]] = ...) -> None: ...

class NotificationRequested(_message.Message):
    __slots__ = ("customer_id", "template", "transfer_id", "amount", "reason", "device_name")
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    TEMPLATE_FIELD_NUMBER: _ClassVar[int]
    TRANSFER_ID_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    DEVICE_NAME_FIELD_NUMBER: _ClassVar[int]
    customer_id: str
    template: _notification_pb2.Template
    transfer_id: str
    amount: _money_pb2.Money
    reason: str
    device_name: str
    def __init__(self, customer_id: _Optional[str] = ..., template: _Optional[_Union[_notification_pb2.Template, str]] = ..., transfer_id: _Optional[str] = ..., amount: _Optional[_Union[_money_pb2.Money, _Mapping]] = ..., reason: _Optional[str] = ..., device_name: _Optional[str] = ...) -> None: ...
