from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class PageCursor(_message.Message):
    __slots__ = ("query_digest", "last_id")
    QUERY_DIGEST_FIELD_NUMBER: _ClassVar[int]
    LAST_ID_FIELD_NUMBER: _ClassVar[int]
    query_digest: bytes
    last_id: bytes
    def __init__(self, query_digest: _Optional[bytes] = ..., last_id: _Optional[bytes] = ...) -> None: ...
