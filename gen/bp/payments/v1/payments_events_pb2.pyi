import datetime

from bp.event.v1 import event_pb2 as _event_pb2
from bp.event.v1 import topics_pb2 as _topics_pb2
from bp.payments.v1 import interbank_transfer_pb2 as _interbank_transfer_pb2
from bp.payments.v1 import payments_errors_pb2 as _payments_errors_pb2
from bp.policy.v1 import policy_pb2 as _policy_pb2
from bp.type.v1 import account_ref_pb2 as _account_ref_pb2
from bp.type.v1 import money_pb2 as _money_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CancelRequester(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CANCEL_REQUESTER_UNSPECIFIED: _ClassVar[CancelRequester]
    CUSTOMER: _ClassVar[CancelRequester]
    BANK: _ClassVar[CancelRequester]
CANCEL_REQUESTER_UNSPECIFIED: CancelRequester
CUSTOMER: CancelRequester
BANK: CancelRequester

class PaymentEvent(_message.Message):
    __slots__ = ("metadata", "transfer_debited", "transfer_submitted", "transfer_completed", "transfer_failed", "transfer_returned", "transfer_cancelled", "transfer_outcome_unknown", "transfer_cancel_requested", "transfer_cancel_refused", "transfer_declined", "transfer_reviewed", "further_orders_declined", "account_positions")
    METADATA_FIELD_NUMBER: _ClassVar[int]
    TRANSFER_DEBITED_FIELD_NUMBER: _ClassVar[int]
    TRANSFER_SUBMITTED_FIELD_NUMBER: _ClassVar[int]
    TRANSFER_COMPLETED_FIELD_NUMBER: _ClassVar[int]
    TRANSFER_FAILED_FIELD_NUMBER: _ClassVar[int]
    TRANSFER_RETURNED_FIELD_NUMBER: _ClassVar[int]
    TRANSFER_CANCELLED_FIELD_NUMBER: _ClassVar[int]
    TRANSFER_OUTCOME_UNKNOWN_FIELD_NUMBER: _ClassVar[int]
    TRANSFER_CANCEL_REQUESTED_FIELD_NUMBER: _ClassVar[int]
    TRANSFER_CANCEL_REFUSED_FIELD_NUMBER: _ClassVar[int]
    TRANSFER_DECLINED_FIELD_NUMBER: _ClassVar[int]
    TRANSFER_REVIEWED_FIELD_NUMBER: _ClassVar[int]
    FURTHER_ORDERS_DECLINED_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_POSITIONS_FIELD_NUMBER: _ClassVar[int]
    metadata: _event_pb2.EventMetadata
    transfer_debited: TransferDebited
    transfer_submitted: TransferSubmitted
    transfer_completed: TransferCompleted
    transfer_failed: TransferFailed
    transfer_returned: TransferReturned
    transfer_cancelled: TransferCancelled
    transfer_outcome_unknown: TransferOutcomeUnknown
    transfer_cancel_requested: TransferCancelRequested
    transfer_cancel_refused: TransferCancelRefused
    transfer_declined: TransferDeclined
    transfer_reviewed: TransferReviewed
    further_orders_declined: FurtherOrdersDeclined
    account_positions: _containers.RepeatedCompositeFieldContainer[_event_pb2.AccountPosition]
    def __init__(self, metadata: _Optional[_Union[_event_pb2.EventMetadata, _Mapping]] = ..., transfer_debited: _Optional[_Union[TransferDebited, _Mapping]] = ..., transfer_submitted: _Optional[_Union[TransferSubmitted, _Mapping]] = ..., transfer_completed: _Optional[_Union[TransferCompleted, _Mapping]] = ..., transfer_failed: _Optional[_Union[TransferFailed, _Mapping]] = ..., transfer_returned: _Optional[_Union[TransferReturned, _Mapping]] = ..., transfer_cancelled: _Optional[_Union[TransferCancelled, _Mapping]] = ..., transfer_outcome_unknown: _Optional[_Union[TransferOutcomeUnknown, _Mapping]] = ..., transfer_cancel_requested: _Optional[_Union[TransferCancelRequested, _Mapping]] = ..., transfer_cancel_refused: _Optional[_Union[TransferCancelRefused, _Mapping]] = ..., transfer_declined: _Optional[_Union[TransferDeclined, _Mapping]] = ..., transfer_reviewed: _Optional[_Union[TransferReviewed, _Mapping]] = ..., further_orders_declined: _Optional[_Union[FurtherOrdersDeclined, _Mapping]] = ..., account_positions: _Optional[_Iterable[_Union[_event_pb2.AccountPosition, _Mapping]]] = ...) -> None: ...

class TransferDebited(_message.Message):
    __slots__ = ("transfer", "in_review")
    TRANSFER_FIELD_NUMBER: _ClassVar[int]
    IN_REVIEW_FIELD_NUMBER: _ClassVar[int]
    transfer: _interbank_transfer_pb2.InterbankTransfer
    in_review: bool
    def __init__(self, transfer: _Optional[_Union[_interbank_transfer_pb2.InterbankTransfer, _Mapping]] = ..., in_review: _Optional[bool] = ...) -> None: ...

class TransferSubmitted(_message.Message):
    __slots__ = ("transfer",)
    TRANSFER_FIELD_NUMBER: _ClassVar[int]
    transfer: _interbank_transfer_pb2.InterbankTransfer
    def __init__(self, transfer: _Optional[_Union[_interbank_transfer_pb2.InterbankTransfer, _Mapping]] = ...) -> None: ...

class TransferCompleted(_message.Message):
    __slots__ = ("transfer",)
    TRANSFER_FIELD_NUMBER: _ClassVar[int]
    transfer: _interbank_transfer_pb2.InterbankTransfer
    def __init__(self, transfer: _Optional[_Union[_interbank_transfer_pb2.InterbankTransfer, _Mapping]] = ...) -> None: ...

class TransferFailed(_message.Message):
    __slots__ = ("transfer",)
    TRANSFER_FIELD_NUMBER: _ClassVar[int]
    transfer: _interbank_transfer_pb2.InterbankTransfer
    def __init__(self, transfer: _Optional[_Union[_interbank_transfer_pb2.InterbankTransfer, _Mapping]] = ...) -> None: ...

class TransferReturned(_message.Message):
    __slots__ = ("transfer",)
    TRANSFER_FIELD_NUMBER: _ClassVar[int]
    transfer: _interbank_transfer_pb2.InterbankTransfer
    def __init__(self, transfer: _Optional[_Union[_interbank_transfer_pb2.InterbankTransfer, _Mapping]] = ...) -> None: ...

class TransferCancelled(_message.Message):
    __slots__ = ("transfer", "requested_by")
    TRANSFER_FIELD_NUMBER: _ClassVar[int]
    REQUESTED_BY_FIELD_NUMBER: _ClassVar[int]
    transfer: _interbank_transfer_pb2.InterbankTransfer
    requested_by: CancelRequester
    def __init__(self, transfer: _Optional[_Union[_interbank_transfer_pb2.InterbankTransfer, _Mapping]] = ..., requested_by: _Optional[_Union[CancelRequester, str]] = ...) -> None: ...

class TransferOutcomeUnknown(_message.Message):
    __slots__ = ("transfer",)
    TRANSFER_FIELD_NUMBER: _ClassVar[int]
    transfer: _interbank_transfer_pb2.InterbankTransfer
    def __init__(self, transfer: _Optional[_Union[_interbank_transfer_pb2.InterbankTransfer, _Mapping]] = ...) -> None: ...

class TransferCancelRequested(_message.Message):
    __slots__ = ("transfer", "requested_by")
    TRANSFER_FIELD_NUMBER: _ClassVar[int]
    REQUESTED_BY_FIELD_NUMBER: _ClassVar[int]
    transfer: _interbank_transfer_pb2.InterbankTransfer
    requested_by: CancelRequester
    def __init__(self, transfer: _Optional[_Union[_interbank_transfer_pb2.InterbankTransfer, _Mapping]] = ..., requested_by: _Optional[_Union[CancelRequester, str]] = ...) -> None: ...

class TransferCancelRefused(_message.Message):
    __slots__ = ("transfer", "requested_by")
    TRANSFER_FIELD_NUMBER: _ClassVar[int]
    REQUESTED_BY_FIELD_NUMBER: _ClassVar[int]
    transfer: _interbank_transfer_pb2.InterbankTransfer
    requested_by: CancelRequester
    def __init__(self, transfer: _Optional[_Union[_interbank_transfer_pb2.InterbankTransfer, _Mapping]] = ..., requested_by: _Optional[_Union[CancelRequester, str]] = ...) -> None: ...

class TransferDeclined(_message.Message):
    __slots__ = ("account_id", "amount", "beneficiary", "reason", "fraud_transaction_id")
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    BENEFICIARY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    FRAUD_TRANSACTION_ID_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    amount: _money_pb2.Money
    beneficiary: _account_ref_pb2.AccountRef
    reason: _payments_errors_pb2.PaymentsErrorReason
    fraud_transaction_id: str
    def __init__(self, account_id: _Optional[str] = ..., amount: _Optional[_Union[_money_pb2.Money, _Mapping]] = ..., beneficiary: _Optional[_Union[_account_ref_pb2.AccountRef, _Mapping]] = ..., reason: _Optional[_Union[_payments_errors_pb2.PaymentsErrorReason, str]] = ..., fraud_transaction_id: _Optional[str] = ...) -> None: ...

class FurtherOrdersDeclined(_message.Message):
    __slots__ = ("hour_start_time", "recorded_orders", "further_orders")
    HOUR_START_TIME_FIELD_NUMBER: _ClassVar[int]
    RECORDED_ORDERS_FIELD_NUMBER: _ClassVar[int]
    FURTHER_ORDERS_FIELD_NUMBER: _ClassVar[int]
    hour_start_time: _timestamp_pb2.Timestamp
    recorded_orders: int
    further_orders: int
    def __init__(self, hour_start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., recorded_orders: _Optional[int] = ..., further_orders: _Optional[int] = ...) -> None: ...

class TransferReviewed(_message.Message):
    __slots__ = ("decision", "effect", "reviewer", "note", "os_user")
    class Decision(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        DECISION_UNSPECIFIED: _ClassVar[TransferReviewed.Decision]
        CLEARED: _ClassVar[TransferReviewed.Decision]
        REFUSED: _ClassVar[TransferReviewed.Decision]
    DECISION_UNSPECIFIED: TransferReviewed.Decision
    CLEARED: TransferReviewed.Decision
    REFUSED: TransferReviewed.Decision
    class Effect(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        EFFECT_UNSPECIFIED: _ClassVar[TransferReviewed.Effect]
        NONE: _ClassVar[TransferReviewed.Effect]
        CANCELLING: _ClassVar[TransferReviewed.Effect]
        TOO_LATE: _ClassVar[TransferReviewed.Effect]
        NOT_NEEDED: _ClassVar[TransferReviewed.Effect]
    EFFECT_UNSPECIFIED: TransferReviewed.Effect
    NONE: TransferReviewed.Effect
    CANCELLING: TransferReviewed.Effect
    TOO_LATE: TransferReviewed.Effect
    NOT_NEEDED: TransferReviewed.Effect
    DECISION_FIELD_NUMBER: _ClassVar[int]
    EFFECT_FIELD_NUMBER: _ClassVar[int]
    REVIEWER_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    OS_USER_FIELD_NUMBER: _ClassVar[int]
    decision: TransferReviewed.Decision
    effect: TransferReviewed.Effect
    reviewer: str
    note: str
    os_user: str
    def __init__(self, decision: _Optional[_Union[TransferReviewed.Decision, str]] = ..., effect: _Optional[_Union[TransferReviewed.Effect, str]] = ..., reviewer: _Optional[str] = ..., note: _Optional[str] = ..., os_user: _Optional[str] = ...) -> None: ...
