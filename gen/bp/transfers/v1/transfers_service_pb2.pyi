from bp.policy.v1 import policy_pb2 as _policy_pb2
from bp.transfers.v1 import account_entry_pb2 as _account_entry_pb2
from bp.transfers.v1 import book_transfer_pb2 as _book_transfer_pb2
from bp.type.v1 import money_pb2 as _money_pb2
from buf.validate import validate_pb2 as _validate_pb2
from google.api import annotations_pb2 as _annotations_pb2
from google.api import field_behavior_pb2 as _field_behavior_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CreateBookTransferRequest(_message.Message):
    __slots__ = ("account_id", "destination_account_id", "amount", "memo")
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    DESTINATION_ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    MEMO_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    destination_account_id: str
    amount: _money_pb2.Money
    memo: str
    def __init__(self, account_id: _Optional[str] = ..., destination_account_id: _Optional[str] = ..., amount: _Optional[_Union[_money_pb2.Money, _Mapping]] = ..., memo: _Optional[str] = ...) -> None: ...

class CreateBookTransferResponse(_message.Message):
    __slots__ = ("transfer",)
    TRANSFER_FIELD_NUMBER: _ClassVar[int]
    transfer: _book_transfer_pb2.BookTransfer
    def __init__(self, transfer: _Optional[_Union[_book_transfer_pb2.BookTransfer, _Mapping]] = ...) -> None: ...

class GetBookTransferRequest(_message.Message):
    __slots__ = ("transfer_id",)
    TRANSFER_ID_FIELD_NUMBER: _ClassVar[int]
    transfer_id: str
    def __init__(self, transfer_id: _Optional[str] = ...) -> None: ...

class GetBookTransferResponse(_message.Message):
    __slots__ = ("transfer",)
    TRANSFER_FIELD_NUMBER: _ClassVar[int]
    transfer: _book_transfer_pb2.BookTransfer
    def __init__(self, transfer: _Optional[_Union[_book_transfer_pb2.BookTransfer, _Mapping]] = ...) -> None: ...

class ListBookTransfersRequest(_message.Message):
    __slots__ = ("account_id", "page_size", "page_token", "direction", "create_time_from", "create_time_to")
    class Direction(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        DIRECTION_UNSPECIFIED: _ClassVar[ListBookTransfersRequest.Direction]
        PAID: _ClassVar[ListBookTransfersRequest.Direction]
        RECEIVED: _ClassVar[ListBookTransfersRequest.Direction]
    DIRECTION_UNSPECIFIED: ListBookTransfersRequest.Direction
    PAID: ListBookTransfersRequest.Direction
    RECEIVED: ListBookTransfersRequest.Direction
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    DIRECTION_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FROM_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_TO_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    page_size: int
    page_token: str
    direction: ListBookTransfersRequest.Direction
    create_time_from: str
    create_time_to: str
    def __init__(self, account_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., direction: _Optional[_Union[ListBookTransfersRequest.Direction, str]] = ..., create_time_from: _Optional[str] = ..., create_time_to: _Optional[str] = ...) -> None: ...

class ListBookTransfersResponse(_message.Message):
    __slots__ = ("transfers", "next_page_token")
    TRANSFERS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    transfers: _containers.RepeatedCompositeFieldContainer[_book_transfer_pb2.BookTransfer]
    next_page_token: str
    def __init__(self, transfers: _Optional[_Iterable[_Union[_book_transfer_pb2.BookTransfer, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ListEntriesRequest(_message.Message):
    __slots__ = ("account_id", "type", "create_time_from", "create_time_to", "page_size", "page_token")
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FROM_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_TO_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    type: _account_entry_pb2.AccountEntry.Type
    create_time_from: str
    create_time_to: str
    page_size: int
    page_token: str
    def __init__(self, account_id: _Optional[str] = ..., type: _Optional[_Union[_account_entry_pb2.AccountEntry.Type, str]] = ..., create_time_from: _Optional[str] = ..., create_time_to: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListEntriesResponse(_message.Message):
    __slots__ = ("entries", "next_page_token")
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[_account_entry_pb2.AccountEntry]
    next_page_token: str
    def __init__(self, entries: _Optional[_Iterable[_Union[_account_entry_pb2.AccountEntry, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...
