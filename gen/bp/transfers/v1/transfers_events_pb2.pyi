from bp.event.v1 import event_pb2 as _event_pb2
from bp.event.v1 import topics_pb2 as _topics_pb2
from bp.transfers.v1 import book_transfer_pb2 as _book_transfer_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class TransferEvent(_message.Message):
    __slots__ = ("metadata", "book_transfer_posted", "account_positions")
    METADATA_FIELD_NUMBER: _ClassVar[int]
    BOOK_TRANSFER_POSTED_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_POSITIONS_FIELD_NUMBER: _ClassVar[int]
    metadata: _event_pb2.EventMetadata
    book_transfer_posted: BookTransferPosted
    account_positions: _containers.RepeatedCompositeFieldContainer[_event_pb2.AccountPosition]
    def __init__(self, metadata: _Optional[_Union[_event_pb2.EventMetadata, _Mapping]] = ..., book_transfer_posted: _Optional[_Union[BookTransferPosted, _Mapping]] = ..., account_positions: _Optional[_Iterable[_Union[_event_pb2.AccountPosition, _Mapping]]] = ...) -> None: ...

class BookTransferPosted(_message.Message):
    __slots__ = ("transfer", "destination_customer_id")
    TRANSFER_FIELD_NUMBER: _ClassVar[int]
    DESTINATION_CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    transfer: _book_transfer_pb2.BookTransfer
    destination_customer_id: str
    def __init__(self, transfer: _Optional[_Union[_book_transfer_pb2.BookTransfer, _Mapping]] = ..., destination_customer_id: _Optional[str] = ...) -> None: ...
