from bp.event.v1 import event_pb2 as _event_pb2
from bp.event.v1 import topics_pb2 as _topics_pb2
from bp.policy.v1 import policy_pb2 as _policy_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RevisionOrigin(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REVISION_ORIGIN_UNSPECIFIED: _ClassVar[RevisionOrigin]
    APPLY: _ClassVar[RevisionOrigin]
    EDIT: _ClassVar[RevisionOrigin]
    ROLLBACK: _ClassVar[RevisionOrigin]
    EXPIRY: _ClassVar[RevisionOrigin]
    REPOSITORY: _ClassVar[RevisionOrigin]

class ObjectChange(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OBJECT_CHANGE_UNSPECIFIED: _ClassVar[ObjectChange]
    ADDED: _ClassVar[ObjectChange]
    CHANGED: _ClassVar[ObjectChange]
    REMOVED: _ClassVar[ObjectChange]
REVISION_ORIGIN_UNSPECIFIED: RevisionOrigin
APPLY: RevisionOrigin
EDIT: RevisionOrigin
ROLLBACK: RevisionOrigin
EXPIRY: RevisionOrigin
REPOSITORY: RevisionOrigin
OBJECT_CHANGE_UNSPECIFIED: ObjectChange
ADDED: ObjectChange
CHANGED: ObjectChange
REMOVED: ObjectChange

class MeshEvent(_message.Message):
    __slots__ = ("metadata", "mesh_config_revised")
    METADATA_FIELD_NUMBER: _ClassVar[int]
    MESH_CONFIG_REVISED_FIELD_NUMBER: _ClassVar[int]
    metadata: _event_pb2.EventMetadata
    mesh_config_revised: MeshConfigRevised
    def __init__(self, metadata: _Optional[_Union[_event_pb2.EventMetadata, _Mapping]] = ..., mesh_config_revised: _Optional[_Union[MeshConfigRevised, _Mapping]] = ...) -> None: ...

class ChangedObject(_message.Message):
    __slots__ = ("kind", "name", "change")
    KIND_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    CHANGE_FIELD_NUMBER: _ClassVar[int]
    kind: str
    name: str
    change: ObjectChange
    def __init__(self, kind: _Optional[str] = ..., name: _Optional[str] = ..., change: _Optional[_Union[ObjectChange, str]] = ...) -> None: ...

class MeshConfigRevised(_message.Message):
    __slots__ = ("revision", "parent", "restored", "who", "why", "origin", "digest", "changed_objects", "changed_object_count", "changes_unknown")
    REVISION_FIELD_NUMBER: _ClassVar[int]
    PARENT_FIELD_NUMBER: _ClassVar[int]
    RESTORED_FIELD_NUMBER: _ClassVar[int]
    WHO_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    CHANGED_OBJECTS_FIELD_NUMBER: _ClassVar[int]
    CHANGED_OBJECT_COUNT_FIELD_NUMBER: _ClassVar[int]
    CHANGES_UNKNOWN_FIELD_NUMBER: _ClassVar[int]
    revision: int
    parent: int
    restored: int
    who: str
    why: str
    origin: RevisionOrigin
    digest: str
    changed_objects: _containers.RepeatedCompositeFieldContainer[ChangedObject]
    changed_object_count: int
    changes_unknown: bool
    def __init__(self, revision: _Optional[int] = ..., parent: _Optional[int] = ..., restored: _Optional[int] = ..., who: _Optional[str] = ..., why: _Optional[str] = ..., origin: _Optional[_Union[RevisionOrigin, str]] = ..., digest: _Optional[str] = ..., changed_objects: _Optional[_Iterable[_Union[ChangedObject, _Mapping]]] = ..., changed_object_count: _Optional[int] = ..., changes_unknown: _Optional[bool] = ...) -> None: ...
