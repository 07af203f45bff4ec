from bp.customers.v1 import account_pb2 as _account_pb2
from bp.customers.v1 import customer_pb2 as _customer_pb2
from bp.policy.v1 import policy_pb2 as _policy_pb2
from buf.validate import validate_pb2 as _validate_pb2
from google.api import annotations_pb2 as _annotations_pb2
from google.api import field_behavior_pb2 as _field_behavior_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class BatchGetHoldersRequest(_message.Message):
    __slots__ = ("account_ids",)
    ACCOUNT_IDS_FIELD_NUMBER: _ClassVar[int]
    account_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, account_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class BatchGetHoldersResponse(_message.Message):
    __slots__ = ("holders",)
    class HoldersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: _account_pb2.AccountHolder
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[_account_pb2.AccountHolder, _Mapping]] = ...) -> None: ...
    HOLDERS_FIELD_NUMBER: _ClassVar[int]
    holders: _containers.MessageMap[str, _account_pb2.AccountHolder]
    def __init__(self, holders: _Optional[_Mapping[str, _account_pb2.AccountHolder]] = ...) -> None: ...

class BatchGetLocalesRequest(_message.Message):
    __slots__ = ("customer_ids",)
    CUSTOMER_IDS_FIELD_NUMBER: _ClassVar[int]
    customer_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, customer_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class BatchGetLocalesResponse(_message.Message):
    __slots__ = ("locales",)
    class LocalesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    LOCALES_FIELD_NUMBER: _ClassVar[int]
    locales: _containers.ScalarMap[str, str]
    def __init__(self, locales: _Optional[_Mapping[str, str]] = ...) -> None: ...

class GetMeRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetMeResponse(_message.Message):
    __slots__ = ("customer",)
    CUSTOMER_FIELD_NUMBER: _ClassVar[int]
    customer: _customer_pb2.Customer
    def __init__(self, customer: _Optional[_Union[_customer_pb2.Customer, _Mapping]] = ...) -> None: ...

class ListAccountsRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListAccountsResponse(_message.Message):
    __slots__ = ("accounts", "next_page_token")
    ACCOUNTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    accounts: _containers.RepeatedCompositeFieldContainer[_account_pb2.Account]
    next_page_token: str
    def __init__(self, accounts: _Optional[_Iterable[_Union[_account_pb2.Account, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class GetBalanceRequest(_message.Message):
    __slots__ = ("account_id", "at_least_position")
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    AT_LEAST_POSITION_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    at_least_position: int
    def __init__(self, account_id: _Optional[str] = ..., at_least_position: _Optional[int] = ...) -> None: ...

class GetBalanceResponse(_message.Message):
    __slots__ = ("balance",)
    BALANCE_FIELD_NUMBER: _ClassVar[int]
    balance: _account_pb2.Balance
    def __init__(self, balance: _Optional[_Union[_account_pb2.Balance, _Mapping]] = ...) -> None: ...

class CheckDebitRequest(_message.Message):
    __slots__ = ("customer_id", "account_id", "destination_account_id")
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    DESTINATION_ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    customer_id: str
    account_id: str
    destination_account_id: str
    def __init__(self, customer_id: _Optional[str] = ..., account_id: _Optional[str] = ..., destination_account_id: _Optional[str] = ...) -> None: ...

class CheckDebitResponse(_message.Message):
    __slots__ = ("account", "balance", "destination_account")
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    BALANCE_FIELD_NUMBER: _ClassVar[int]
    DESTINATION_ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    account: _account_pb2.Account
    balance: _account_pb2.Balance
    destination_account: _account_pb2.Account
    def __init__(self, account: _Optional[_Union[_account_pb2.Account, _Mapping]] = ..., balance: _Optional[_Union[_account_pb2.Balance, _Mapping]] = ..., destination_account: _Optional[_Union[_account_pb2.Account, _Mapping]] = ...) -> None: ...

class BatchCheckDebitsRequest(_message.Message):
    __slots__ = ("requests",)
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    requests: _containers.RepeatedCompositeFieldContainer[CheckDebitRequest]
    def __init__(self, requests: _Optional[_Iterable[_Union[CheckDebitRequest, _Mapping]]] = ...) -> None: ...

class BatchCheckDebitsResponse(_message.Message):
    __slots__ = ("responses",)
    RESPONSES_FIELD_NUMBER: _ClassVar[int]
    responses: _containers.RepeatedCompositeFieldContainer[CheckDebitResponse]
    def __init__(self, responses: _Optional[_Iterable[_Union[CheckDebitResponse, _Mapping]]] = ...) -> None: ...
