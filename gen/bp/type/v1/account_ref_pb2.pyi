from bp.policy.v1 import policy_pb2 as _policy_pb2
from buf.validate import validate_pb2 as _validate_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AccountType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ACCOUNT_TYPE_UNSPECIFIED: _ClassVar[AccountType]
    CHECKING: _ClassVar[AccountType]
    SAVINGS: _ClassVar[AccountType]
ACCOUNT_TYPE_UNSPECIFIED: AccountType
CHECKING: AccountType
SAVINGS: AccountType

class AccountRef(_message.Message):
    __slots__ = ("name", "routing_number", "account_number", "account_type")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ROUTING_NUMBER_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_NUMBER_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_TYPE_FIELD_NUMBER: _ClassVar[int]
    name: str
    routing_number: str
    account_number: str
    account_type: AccountType
    def __init__(self, name: _Optional[str] = ..., routing_number: _Optional[str] = ..., account_number: _Optional[str] = ..., account_type: _Optional[_Union[AccountType, str]] = ...) -> None: ...
