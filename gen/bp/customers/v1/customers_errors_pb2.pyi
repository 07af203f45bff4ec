from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from typing import ClassVar as _ClassVar

DESCRIPTOR: _descriptor.FileDescriptor

class CustomersErrorReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CUSTOMERS_ERROR_REASON_UNSPECIFIED: _ClassVar[CustomersErrorReason]
    CUSTOMER_NOT_FOUND: _ClassVar[CustomersErrorReason]
    ACCOUNT_NOT_FOUND: _ClassVar[CustomersErrorReason]
    POSITION_NOT_REACHED: _ClassVar[CustomersErrorReason]
CUSTOMERS_ERROR_REASON_UNSPECIFIED: CustomersErrorReason
CUSTOMER_NOT_FOUND: CustomersErrorReason
ACCOUNT_NOT_FOUND: CustomersErrorReason
POSITION_NOT_REACHED: CustomersErrorReason
