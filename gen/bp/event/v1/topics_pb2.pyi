from google.protobuf import descriptor_pb2 as _descriptor_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class Topic(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TOPIC_UNSPECIFIED: _ClassVar[Topic]
    PAYMENTS: _ClassVar[Topic]
    TRANSFERS: _ClassVar[Topic]
    AUTH_EVENTS: _ClassVar[Topic]
    NOTIFICATIONS: _ClassVar[Topic]
    AUDIT_LOGS: _ClassVar[Topic]
    MESH_EVENTS: _ClassVar[Topic]
TOPIC_UNSPECIFIED: Topic
PAYMENTS: Topic
TRANSFERS: Topic
AUTH_EVENTS: Topic
NOTIFICATIONS: Topic
AUDIT_LOGS: Topic
MESH_EVENTS: Topic
TOPIC_SPEC_FIELD_NUMBER: _ClassVar[int]
topic_spec: _descriptor.FieldDescriptor
TOPIC_FIELD_NUMBER: _ClassVar[int]
topic: _descriptor.FieldDescriptor

class TopicSpec(_message.Message):
    __slots__ = ("name", "partitions", "reader_groups")
    NAME_FIELD_NUMBER: _ClassVar[int]
    PARTITIONS_FIELD_NUMBER: _ClassVar[int]
    READER_GROUPS_FIELD_NUMBER: _ClassVar[int]
    name: str
    partitions: int
    reader_groups: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., partitions: _Optional[int] = ..., reader_groups: _Optional[_Iterable[str]] = ...) -> None: ...
