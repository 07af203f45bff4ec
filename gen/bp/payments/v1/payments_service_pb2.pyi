from bp.payments.v1 import interbank_transfer_pb2 as _interbank_transfer_pb2
from bp.policy.v1 import policy_pb2 as _policy_pb2
from bp.type.v1 import account_ref_pb2 as _account_ref_pb2
from bp.type.v1 import money_pb2 as _money_pb2
from buf.validate import validate_pb2 as _validate_pb2
from google.api import annotations_pb2 as _annotations_pb2
from google.api import field_behavior_pb2 as _field_behavior_pb2
from google.api import httpbody_pb2 as _httpbody_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CreateInterbankTransferRequest(_message.Message):
    __slots__ = ("account_id", "amount", "beneficiary", "memo")
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    BENEFICIARY_FIELD_NUMBER: _ClassVar[int]
    MEMO_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    amount: _money_pb2.Money
    beneficiary: _account_ref_pb2.AccountRef
    memo: str
    def __init__(self, account_id: _Optional[str] = ..., amount: _Optional[_Union[_money_pb2.Money, _Mapping]] = ..., beneficiary: _Optional[_Union[_account_ref_pb2.AccountRef, _Mapping]] = ..., memo: _Optional[str] = ...) -> None: ...

class CreateInterbankTransferResponse(_message.Message):
    __slots__ = ("transfer",)
    TRANSFER_FIELD_NUMBER: _ClassVar[int]
    transfer: _interbank_transfer_pb2.InterbankTransfer
    def __init__(self, transfer: _Optional[_Union[_interbank_transfer_pb2.InterbankTransfer, _Mapping]] = ...) -> None: ...

class GetInterbankTransferRequest(_message.Message):
    __slots__ = ("transfer_id",)
    TRANSFER_ID_FIELD_NUMBER: _ClassVar[int]
    transfer_id: str
    def __init__(self, transfer_id: _Optional[str] = ...) -> None: ...

class GetInterbankTransferResponse(_message.Message):
    __slots__ = ("transfer",)
    TRANSFER_FIELD_NUMBER: _ClassVar[int]
    transfer: _interbank_transfer_pb2.InterbankTransfer
    def __init__(self, transfer: _Optional[_Union[_interbank_transfer_pb2.InterbankTransfer, _Mapping]] = ...) -> None: ...

class ListInterbankTransfersRequest(_message.Message):
    __slots__ = ("account_id", "state", "page_size", "page_token", "create_time_from", "create_time_to")
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FROM_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_TO_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    state: _interbank_transfer_pb2.InterbankTransfer.State
    page_size: int
    page_token: str
    create_time_from: str
    create_time_to: str
    def __init__(self, account_id: _Optional[str] = ..., state: _Optional[_Union[_interbank_transfer_pb2.InterbankTransfer.State, str]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., create_time_from: _Optional[str] = ..., create_time_to: _Optional[str] = ...) -> None: ...

class ListInterbankTransfersResponse(_message.Message):
    __slots__ = ("transfers", "next_page_token")
    TRANSFERS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    transfers: _containers.RepeatedCompositeFieldContainer[_interbank_transfer_pb2.InterbankTransfer]
    next_page_token: str
    def __init__(self, transfers: _Optional[_Iterable[_Union[_interbank_transfer_pb2.InterbankTransfer, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class CancelInterbankTransferRequest(_message.Message):
    __slots__ = ("transfer_id",)
    TRANSFER_ID_FIELD_NUMBER: _ClassVar[int]
    transfer_id: str
    def __init__(self, transfer_id: _Optional[str] = ...) -> None: ...

class CancelInterbankTransferResponse(_message.Message):
    __slots__ = ("transfer",)
    TRANSFER_FIELD_NUMBER: _ClassVar[int]
    transfer: _interbank_transfer_pb2.InterbankTransfer
    def __init__(self, transfer: _Optional[_Union[_interbank_transfer_pb2.InterbankTransfer, _Mapping]] = ...) -> None: ...

class ReceiveAchWebhookRequest(_message.Message):
    __slots__ = ("body",)
    BODY_FIELD_NUMBER: _ClassVar[int]
    body: _httpbody_pb2.HttpBody
    def __init__(self, body: _Optional[_Union[_httpbody_pb2.HttpBody, _Mapping]] = ...) -> None: ...

class ReceiveAchWebhookResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
