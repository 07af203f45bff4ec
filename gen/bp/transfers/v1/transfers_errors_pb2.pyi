from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from typing import ClassVar as _ClassVar

DESCRIPTOR: _descriptor.FileDescriptor

class TransfersErrorReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TRANSFERS_ERROR_REASON_UNSPECIFIED: _ClassVar[TransfersErrorReason]
    INSUFFICIENT_FUNDS: _ClassVar[TransfersErrorReason]
    ACCOUNT_NOT_FOUND: _ClassVar[TransfersErrorReason]
    ACCOUNT_FROZEN: _ClassVar[TransfersErrorReason]
    DESTINATION_NOT_FOUND: _ClassVar[TransfersErrorReason]
    SAME_ACCOUNT: _ClassVar[TransfersErrorReason]
    AMOUNT_LIMIT_EXCEEDED: _ClassVar[TransfersErrorReason]
    AMOUNT_NOT_POSITIVE: _ClassVar[TransfersErrorReason]
    CURRENCY_UNSUPPORTED: _ClassVar[TransfersErrorReason]
    TRANSFER_NOT_FOUND: _ClassVar[TransfersErrorReason]
    STEP_UP_REQUIRED: _ClassVar[TransfersErrorReason]
TRANSFERS_ERROR_REASON_UNSPECIFIED: TransfersErrorReason
INSUFFICIENT_FUNDS: TransfersErrorReason
ACCOUNT_NOT_FOUND: TransfersErrorReason
ACCOUNT_FROZEN: TransfersErrorReason
DESTINATION_NOT_FOUND: TransfersErrorReason
SAME_ACCOUNT: TransfersErrorReason
AMOUNT_LIMIT_EXCEEDED: TransfersErrorReason
AMOUNT_NOT_POSITIVE: TransfersErrorReason
CURRENCY_UNSUPPORTED: TransfersErrorReason
TRANSFER_NOT_FOUND: TransfersErrorReason
STEP_UP_REQUIRED: TransfersErrorReason
