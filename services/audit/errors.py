"""The errors of audit, one class for each reason of its contract."""

from services.kernel.errors import BankError, Code


class ChainUnknown(BankError):
    """The chain does not exist. Choose a chain from 0 to 11."""

    domain = "bp.audit.v1"
    reason = "CHAIN_UNKNOWN"
    code = Code.INVALID_ARGUMENT
