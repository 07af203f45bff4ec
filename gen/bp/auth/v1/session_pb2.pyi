import datetime

from bp.policy.v1 import policy_pb2 as _policy_pb2
from google.api import field_behavior_pb2 as _field_behavior_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class OtpMethod(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OTP_METHOD_UNSPECIFIED: _ClassVar[OtpMethod]
    SMS: _ClassVar[OtpMethod]
    TOTP: _ClassVar[OtpMethod]
    RECOVERY_CODE: _ClassVar[OtpMethod]

class BiometricMethod(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    BIOMETRIC_METHOD_UNSPECIFIED: _ClassVar[BiometricMethod]
    DEVICE_KEY: _ClassVar[BiometricMethod]
    FACE: _ClassVar[BiometricMethod]
OTP_METHOD_UNSPECIFIED: OtpMethod
SMS: OtpMethod
TOTP: OtpMethod
RECOVERY_CODE: OtpMethod
BIOMETRIC_METHOD_UNSPECIFIED: BiometricMethod
DEVICE_KEY: BiometricMethod
FACE: BiometricMethod

class Session(_message.Message):
    __slots__ = ("session_id", "device_id", "device_name", "current", "create_time", "refresh_time", "expire_time")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    DEVICE_ID_FIELD_NUMBER: _ClassVar[int]
    DEVICE_NAME_FIELD_NUMBER: _ClassVar[int]
    CURRENT_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    REFRESH_TIME_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    device_id: str
    device_name: str
    current: bool
    create_time: _timestamp_pb2.Timestamp
    refresh_time: _timestamp_pb2.Timestamp
    expire_time: _timestamp_pb2.Timestamp
    def __init__(self, session_id: _Optional[str] = ..., device_id: _Optional[str] = ..., device_name: _Optional[str] = ..., current: _Optional[bool] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., refresh_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class DeviceKeyChallenge(_message.Message):
    __slots__ = ("challenge", "rp_id", "credential_ids")
    CHALLENGE_FIELD_NUMBER: _ClassVar[int]
    RP_ID_FIELD_NUMBER: _ClassVar[int]
    CREDENTIAL_IDS_FIELD_NUMBER: _ClassVar[int]
    challenge: str
    rp_id: str
    credential_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, challenge: _Optional[str] = ..., rp_id: _Optional[str] = ..., credential_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class DeviceKeyAssertion(_message.Message):
    __slots__ = ("credential_id", "client_data_json", "authenticator_data", "signature")
    CREDENTIAL_ID_FIELD_NUMBER: _ClassVar[int]
    CLIENT_DATA_JSON_FIELD_NUMBER: _ClassVar[int]
    AUTHENTICATOR_DATA_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    credential_id: str
    client_data_json: str
    authenticator_data: str
    signature: str
    def __init__(self, credential_id: _Optional[str] = ..., client_data_json: _Optional[str] = ..., authenticator_data: _Optional[str] = ..., signature: _Optional[str] = ...) -> None: ...

class FacePicture(_message.Message):
    __slots__ = ("picture",)
    PICTURE_FIELD_NUMBER: _ClassVar[int]
    picture: bytes
    def __init__(self, picture: _Optional[bytes] = ...) -> None: ...
