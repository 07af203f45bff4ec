from bp.event.v1 import event_pb2 as _event_pb2
from bp.event.v1 import topics_pb2 as _topics_pb2
from bp.transfers.v1 import book_transfer_pb2 as _book_transfer_pb2
from bp.transfers.v1 import transfers_errors_pb2 as _transfers_errors_pb2
from bp.type.v1 import money_pb2 as _money_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class TransferEvent(_message.Message):
    __slots__ = ("metadata", "book_transfer_posted", "book_transfer_declined", "account_positions")
    METADATA_FIELD_NUMBER: _ClassVar[int]
    BOOK_TRANSFER_POSTED_FIELD_NUMBER: _ClassVar[int]
    BOOK_TRANSFER_DECLINED_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_POSITIONS_FIELD_NUMBER: _ClassVar[int]
    metadata: _event_pb2.EventMetadata
    book_transfer_posted: BookTransferPosted
    book_transfer_declined: BookTransferDeclined
    account_positions: _containers.RepeatedCompositeFieldContainer[_event_pb2.AccountPosition]
    def __init__(self, metadata: _Optional[_Union[_event_pb2.EventMetadata, _Mapping]] = ..., book_transfer_posted: _Optional[_Union[BookTransferPosted, _Mapping]] = ..., book_transfer_declined: _Optional[_Union[BookTransferDeclined, _Mapping]] = ..., account_positions: _Optional[_Iterable[_Union[_event_pb2.AccountPosition, _Mapping]]] = ...) -> None: ...

class BookTransferPosted(_message.Message):
    __slots__ = ("transfer", "destination_customer_id")
    TRANSFER_FIELD_NUMBER: _ClassVar[int]
    DESTINATION_CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    transfer: _book_transfer_pb2.BookTransfer
    destination_customer_id: str
    def __init__(self, transfer: _Optional[_Union[_book_transfer_pb2.BookTransfer, _Mapping]] = ..., destination_customer_id: _Optional[str] = ...) -> None: ...

class BookTransferDeclined(_message.Message):
    __slots__ = ("account_id", "destination_account_id", "amount", "reason", "order_id")
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    DESTINATION_ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    destination_account_id: str
    amount: _money_pb2.Money
    reason: _transfers_errors_pb2.TransfersErrorReason
    order_id: str
    def __init__(self, account_id: _Optional[str] = ..., destination_account_id: _Optional[str] = ..., amount: _Optional[_Union[_money_pb2.Money, _Mapping]] = ..., reason: _Optional[_Union[_transfers_errors_pb2.TransfersErrorReason, str]] = ..., order_id: _Optional[str] = ...) -> None: ...
