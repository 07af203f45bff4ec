import datetime

from google.protobuf import descriptor_pb2 as _descriptor_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Audience(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    AUDIENCE_UNSPECIFIED: _ClassVar[Audience]
    PUBLIC: _ClassVar[Audience]
    CUSTOMER: _ClassVar[Audience]
    PARTNER: _ClassVar[Audience]
    INTERNAL: _ClassVar[Audience]

class RateLimitClass(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RATE_LIMIT_CLASS_UNSPECIFIED: _ClassVar[RateLimitClass]
    READ: _ClassVar[RateLimitClass]
    WRITE: _ClassVar[RateLimitClass]
    WEBHOOK: _ClassVar[RateLimitClass]
    MESH: _ClassVar[RateLimitClass]
    LOGIN: _ClassVar[RateLimitClass]
    OTP: _ClassVar[RateLimitClass]

class PersonalData(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PERSONAL_DATA_UNSPECIFIED: _ClassVar[PersonalData]
    IDENTITY: _ClassVar[PersonalData]
    FINANCIAL: _ClassVar[PersonalData]
    FREE_TEXT: _ClassVar[PersonalData]
    CREDENTIAL: _ClassVar[PersonalData]
AUDIENCE_UNSPECIFIED: Audience
PUBLIC: Audience
CUSTOMER: Audience
PARTNER: Audience
INTERNAL: Audience
RATE_LIMIT_CLASS_UNSPECIFIED: RateLimitClass
READ: RateLimitClass
WRITE: RateLimitClass
WEBHOOK: RateLimitClass
MESH: RateLimitClass
LOGIN: RateLimitClass
OTP: RateLimitClass
PERSONAL_DATA_UNSPECIFIED: PersonalData
IDENTITY: PersonalData
FINANCIAL: PersonalData
FREE_TEXT: PersonalData
CREDENTIAL: PersonalData
METHOD_FIELD_NUMBER: _ClassVar[int]
method: _descriptor.FieldDescriptor
PERSONAL_DATA_FIELD_NUMBER: _ClassVar[int]
personal_data: _descriptor.FieldDescriptor
RULE_TEXT_FIELD_NUMBER: _ClassVar[int]
rule_text: _descriptor.FieldDescriptor

class StepUp(_message.Message):
    __slots__ = ("max_age", "new_beneficiary", "above_minor_units", "always")
    MAX_AGE_FIELD_NUMBER: _ClassVar[int]
    NEW_BENEFICIARY_FIELD_NUMBER: _ClassVar[int]
    ABOVE_MINOR_UNITS_FIELD_NUMBER: _ClassVar[int]
    ALWAYS_FIELD_NUMBER: _ClassVar[int]
    max_age: _duration_pb2.Duration
    new_beneficiary: bool
    above_minor_units: int
    always: bool
    def __init__(self, max_age: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., new_beneficiary: _Optional[bool] = ..., above_minor_units: _Optional[int] = ..., always: _Optional[bool] = ...) -> None: ...

class MethodPolicy(_message.Message):
    __slots__ = ("audience", "scopes", "partners", "services", "deadline", "rate_limit_class", "idempotency_key_required", "step_up", "body_bytes_max")
    AUDIENCE_FIELD_NUMBER: _ClassVar[int]
    SCOPES_FIELD_NUMBER: _ClassVar[int]
    PARTNERS_FIELD_NUMBER: _ClassVar[int]
    SERVICES_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_FIELD_NUMBER: _ClassVar[int]
    RATE_LIMIT_CLASS_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_REQUIRED_FIELD_NUMBER: _ClassVar[int]
    STEP_UP_FIELD_NUMBER: _ClassVar[int]
    BODY_BYTES_MAX_FIELD_NUMBER: _ClassVar[int]
    audience: Audience
    scopes: _containers.RepeatedScalarFieldContainer[str]
    partners: _containers.RepeatedScalarFieldContainer[str]
    services: _containers.RepeatedScalarFieldContainer[str]
    deadline: _duration_pb2.Duration
    rate_limit_class: RateLimitClass
    idempotency_key_required: bool
    step_up: StepUp
    body_bytes_max: int
    def __init__(self, audience: _Optional[_Union[Audience, str]] = ..., scopes: _Optional[_Iterable[str]] = ..., partners: _Optional[_Iterable[str]] = ..., services: _Optional[_Iterable[str]] = ..., deadline: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., rate_limit_class: _Optional[_Union[RateLimitClass, str]] = ..., idempotency_key_required: _Optional[bool] = ..., step_up: _Optional[_Union[StepUp, _Mapping]] = ..., body_bytes_max: _Optional[int] = ...) -> None: ...
