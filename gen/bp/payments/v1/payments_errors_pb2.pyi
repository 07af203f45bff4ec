from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from typing import ClassVar as _ClassVar

DESCRIPTOR: _descriptor.FileDescriptor

class PaymentsErrorReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PAYMENTS_ERROR_REASON_UNSPECIFIED: _ClassVar[PaymentsErrorReason]
    INSUFFICIENT_FUNDS: _ClassVar[PaymentsErrorReason]
    ACCOUNT_NOT_FOUND: _ClassVar[PaymentsErrorReason]
    ACCOUNT_FROZEN: _ClassVar[PaymentsErrorReason]
    INVALID_ROUTING_NUMBER: _ClassVar[PaymentsErrorReason]
    UNKNOWN_ROUTING_NUMBER: _ClassVar[PaymentsErrorReason]
    INVALID_BENEFICIARY_ACCOUNT: _ClassVar[PaymentsErrorReason]
    AMOUNT_LIMIT_EXCEEDED: _ClassVar[PaymentsErrorReason]
    AMOUNT_NOT_POSITIVE: _ClassVar[PaymentsErrorReason]
    CURRENCY_UNSUPPORTED: _ClassVar[PaymentsErrorReason]
    FRAUD_DECLINED: _ClassVar[PaymentsErrorReason]
    FRAUD_CHECK_UNAVAILABLE: _ClassVar[PaymentsErrorReason]
    ACH_UNAVAILABLE: _ClassVar[PaymentsErrorReason]
    ACH_REFUSED: _ClassVar[PaymentsErrorReason]
    TRANSFER_NOT_FOUND: _ClassVar[PaymentsErrorReason]
    NOT_CANCELLABLE: _ClassVar[PaymentsErrorReason]
    WEBHOOK_SIGNATURE_INVALID: _ClassVar[PaymentsErrorReason]
    WEBHOOK_MALFORMED: _ClassVar[PaymentsErrorReason]
    OWN_ROUTING_NUMBER: _ClassVar[PaymentsErrorReason]
    STEP_UP_REQUIRED: _ClassVar[PaymentsErrorReason]
PAYMENTS_ERROR_REASON_UNSPECIFIED: PaymentsErrorReason
INSUFFICIENT_FUNDS: PaymentsErrorReason
ACCOUNT_NOT_FOUND: PaymentsErrorReason
ACCOUNT_FROZEN: PaymentsErrorReason
INVALID_ROUTING_NUMBER: PaymentsErrorReason
UNKNOWN_ROUTING_NUMBER: PaymentsErrorReason
INVALID_BENEFICIARY_ACCOUNT: PaymentsErrorReason
AMOUNT_LIMIT_EXCEEDED: PaymentsErrorReason
AMOUNT_NOT_POSITIVE: PaymentsErrorReason
CURRENCY_UNSUPPORTED: PaymentsErrorReason
FRAUD_DECLINED: PaymentsErrorReason
FRAUD_CHECK_UNAVAILABLE: PaymentsErrorReason
ACH_UNAVAILABLE: PaymentsErrorReason
ACH_REFUSED: PaymentsErrorReason
TRANSFER_NOT_FOUND: PaymentsErrorReason
NOT_CANCELLABLE: PaymentsErrorReason
WEBHOOK_SIGNATURE_INVALID: PaymentsErrorReason
WEBHOOK_MALFORMED: PaymentsErrorReason
OWN_ROUTING_NUMBER: PaymentsErrorReason
STEP_UP_REQUIRED: PaymentsErrorReason
