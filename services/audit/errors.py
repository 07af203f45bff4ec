"""Audit's errors, one class for each reason of its contract."""

from services.kernel.errors import BankError, Code


class ChainUnknown(BankError):
    """There is no such chain; chains are the partitions of audit-logs, 0 to 11."""

    domain = "bp.audit.v1"
    reason = "CHAIN_UNKNOWN"
    code = Code.INVALID_ARGUMENT
