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

class Factor(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FACTOR_UNSPECIFIED: _ClassVar[Factor]
    PASSWORD: _ClassVar[Factor]
    SMS_CODE: _ClassVar[Factor]
    AUTHENTICATOR_APP: _ClassVar[Factor]
    RECOVERY_CODES: _ClassVar[Factor]
    DEVICE_KEYS: _ClassVar[Factor]
    FACE_PICTURE: _ClassVar[Factor]
    REFRESH_TOKEN: _ClassVar[Factor]
FACTOR_UNSPECIFIED: Factor
PASSWORD: Factor
SMS_CODE: Factor
AUTHENTICATOR_APP: Factor
RECOVERY_CODES: Factor
DEVICE_KEYS: Factor
FACE_PICTURE: Factor
REFRESH_TOKEN: Factor

class AuthEvent(_message.Message):
    __slots__ = ("metadata", "login_succeeded", "login_failed", "login_locked", "login_unlocked", "device_added", "device_removed", "token_reused", "password_changed", "factor_added", "factor_removed", "session_revoked")
    METADATA_FIELD_NUMBER: _ClassVar[int]
    LOGIN_SUCCEEDED_FIELD_NUMBER: _ClassVar[int]
    LOGIN_FAILED_FIELD_NUMBER: _ClassVar[int]
    LOGIN_LOCKED_FIELD_NUMBER: _ClassVar[int]
    LOGIN_UNLOCKED_FIELD_NUMBER: _ClassVar[int]
    DEVICE_ADDED_FIELD_NUMBER: _ClassVar[int]
    DEVICE_REMOVED_FIELD_NUMBER: _ClassVar[int]
    TOKEN_REUSED_FIELD_NUMBER: _ClassVar[int]
    PASSWORD_CHANGED_FIELD_NUMBER: _ClassVar[int]
    FACTOR_ADDED_FIELD_NUMBER: _ClassVar[int]
    FACTOR_REMOVED_FIELD_NUMBER: _ClassVar[int]
    SESSION_REVOKED_FIELD_NUMBER: _ClassVar[int]
    metadata: _event_pb2.EventMetadata
    login_succeeded: LoginSucceeded
    login_failed: LoginFailed
    login_locked: LoginLocked
    login_unlocked: LoginUnlocked
    device_added: DeviceAdded
    device_removed: DeviceRemoved
    token_reused: TokenReused
    password_changed: PasswordChanged
    factor_added: FactorAdded
    factor_removed: FactorRemoved
    session_revoked: SessionRevoked
    def __init__(self, metadata: _Optional[_Union[_event_pb2.EventMetadata, _Mapping]] = ..., login_succeeded: _Optional[_Union[LoginSucceeded, _Mapping]] = ..., login_failed: _Optional[_Union[LoginFailed, _Mapping]] = ..., login_locked: _Optional[_Union[LoginLocked, _Mapping]] = ..., login_unlocked: _Optional[_Union[LoginUnlocked, _Mapping]] = ..., device_added: _Optional[_Union[DeviceAdded, _Mapping]] = ..., device_removed: _Optional[_Union[DeviceRemoved, _Mapping]] = ..., token_reused: _Optional[_Union[TokenReused, _Mapping]] = ..., password_changed: _Optional[_Union[PasswordChanged, _Mapping]] = ..., factor_added: _Optional[_Union[FactorAdded, _Mapping]] = ..., factor_removed: _Optional[_Union[FactorRemoved, _Mapping]] = ..., session_revoked: _Optional[_Union[SessionRevoked, _Mapping]] = ...) -> None: ...

class LoginSucceeded(_message.Message):
    __slots__ = ("session_id", "device_id", "factors")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    DEVICE_ID_FIELD_NUMBER: _ClassVar[int]
    FACTORS_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    device_id: str
    factors: _containers.RepeatedScalarFieldContainer[Factor]
    def __init__(self, session_id: _Optional[str] = ..., device_id: _Optional[str] = ..., factors: _Optional[_Iterable[_Union[Factor, str]]] = ...) -> None: ...

class LoginFailed(_message.Message):
    __slots__ = ("factor", "reason", "known_device", "refused_before")
    FACTOR_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    KNOWN_DEVICE_FIELD_NUMBER: _ClassVar[int]
    REFUSED_BEFORE_FIELD_NUMBER: _ClassVar[int]
    factor: Factor
    reason: str
    known_device: bool
    refused_before: int
    def __init__(self, factor: _Optional[_Union[Factor, str]] = ..., reason: _Optional[str] = ..., known_device: _Optional[bool] = ..., refused_before: _Optional[int] = ...) -> None: ...

class LoginLocked(_message.Message):
    __slots__ = ("factor", "scope", "lock_s")
    FACTOR_FIELD_NUMBER: _ClassVar[int]
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    LOCK_S_FIELD_NUMBER: _ClassVar[int]
    factor: Factor
    scope: str
    lock_s: int
    def __init__(self, factor: _Optional[_Union[Factor, str]] = ..., scope: _Optional[str] = ..., lock_s: _Optional[int] = ...) -> None: ...

class LoginUnlocked(_message.Message):
    __slots__ = ("by", "os_user", "note")
    BY_FIELD_NUMBER: _ClassVar[int]
    OS_USER_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    by: str
    os_user: str
    note: str
    def __init__(self, by: _Optional[str] = ..., os_user: _Optional[str] = ..., note: _Optional[str] = ...) -> None: ...

class DeviceAdded(_message.Message):
    __slots__ = ("device_id", "device_name")
    DEVICE_ID_FIELD_NUMBER: _ClassVar[int]
    DEVICE_NAME_FIELD_NUMBER: _ClassVar[int]
    device_id: str
    device_name: str
    def __init__(self, device_id: _Optional[str] = ..., device_name: _Optional[str] = ...) -> None: ...

class DeviceRemoved(_message.Message):
    __slots__ = ("device_id",)
    DEVICE_ID_FIELD_NUMBER: _ClassVar[int]
    device_id: str
    def __init__(self, device_id: _Optional[str] = ...) -> None: ...

class TokenReused(_message.Message):
    __slots__ = ("session_id", "device_id", "device_name")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    DEVICE_ID_FIELD_NUMBER: _ClassVar[int]
    DEVICE_NAME_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    device_id: str
    device_name: str
    def __init__(self, session_id: _Optional[str] = ..., device_id: _Optional[str] = ..., device_name: _Optional[str] = ...) -> None: ...

class PasswordChanged(_message.Message):
    __slots__ = ("reset",)
    RESET_FIELD_NUMBER: _ClassVar[int]
    reset: bool
    def __init__(self, reset: _Optional[bool] = ...) -> None: ...

class FactorAdded(_message.Message):
    __slots__ = ("factor",)
    FACTOR_FIELD_NUMBER: _ClassVar[int]
    factor: Factor
    def __init__(self, factor: _Optional[_Union[Factor, str]] = ...) -> None: ...

class FactorRemoved(_message.Message):
    __slots__ = ("factor",)
    FACTOR_FIELD_NUMBER: _ClassVar[int]
    factor: Factor
    def __init__(self, factor: _Optional[_Union[Factor, str]] = ...) -> None: ...

class SessionRevoked(_message.Message):
    __slots__ = ("session_id", "device_id", "cause", "os_user", "note")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    DEVICE_ID_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    OS_USER_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    device_id: str
    cause: str
    os_user: str
    note: str
    def __init__(self, session_id: _Optional[str] = ..., device_id: _Optional[str] = ..., cause: _Optional[str] = ..., os_user: _Optional[str] = ..., note: _Optional[str] = ...) -> None: ...
