"""Examples for the document: one request and response for the methods that users try first."""

from typing import Any

_ACCOUNT = "01938a5e-7a10-7c3e-9d52-3f0b6c1e8a2a"
_TRANSFER = "01938a60-11f2-7e04-8b7d-5a9c2d4e6f2a"
_AMOUNT = {"currencyCode": "USD", "minorUnits": "100000"}
_BENEFICIARY = {
    "name": "Luz Andrade",
    "routingNumber": "021000021",
    "accountNumber": "000123456789",
    "accountType": "CHECKING",
}
_INTERBANK = {
    "transferId": _TRANSFER,
    "accountId": _ACCOUNT,
    "amount": _AMOUNT,
    "beneficiary": _BENEFICIARY,
    "memo": "Alquiler de diciembre",
    "state": "SUBMITTED",
    "traceNumber": "991000010000001",
    "createTime": "2026-12-01T15:04:05.123456Z",
    "updateTime": "2026-12-01T15:04:05.310200Z",
    "failureReason": "",
    "returnCode": "",
}

EXAMPLES: dict[str, dict[str, Any]] = {
    "CreateInterbankTransfer": {
        "request": {
            "accountId": _ACCOUNT,
            "amount": _AMOUNT,
            "beneficiary": _BENEFICIARY,
            "memo": "Alquiler de diciembre",
        },
        "response": _INTERBANK,
    },
    "GetInterbankTransfer": {"request": {}, "response": _INTERBANK},
    "GetBalance": {
        "request": {},
        "response": {
            "accountId": _ACCOUNT,
            "available": _AMOUNT,
            "ledger": _AMOUNT,
            "position": "42",
        },
    },
}
