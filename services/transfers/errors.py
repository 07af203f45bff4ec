"""What transfers refuses; the reasons of bp.transfers.v1."""

from services.kernel.errors import BankError, Code


class TransfersError(BankError):
    """The transfer could not be made."""

    domain = "bp.transfers.v1"
    code = Code.FAILED_PRECONDITION


class InsufficientFunds(TransfersError):
    """The account does not hold the amount. Fund it, or transfer less."""

    reason = "INSUFFICIENT_FUNDS"


class AccountNotFound(TransfersError):
    """There is no such account among yours. List your accounts to see their ids."""

    reason = "ACCOUNT_NOT_FOUND"
    code = Code.NOT_FOUND


class AccountFrozen(TransfersError):
    """The account is frozen or closed, so nothing can be taken from it. Call the bank."""

    reason = "ACCOUNT_FROZEN"


class DestinationNotFound(TransfersError):
    """There is no such account to pay to, or it takes no money. Check its id with the payee."""

    reason = "DESTINATION_NOT_FOUND"


class SameAccount(TransfersError):
    """Source and destination are the same account. Choose another destination."""

    reason = "SAME_ACCOUNT"
    code = Code.INVALID_ARGUMENT


class AmountLimitExceeded(TransfersError):
    """The amount is above what one transfer may move. Transfer less at a time."""

    reason = "AMOUNT_LIMIT_EXCEEDED"


class AmountNotPositive(TransfersError):
    """The amount must be at least one minor unit. Correct it and try again."""

    reason = "AMOUNT_NOT_POSITIVE"
    code = Code.INVALID_ARGUMENT


class CurrencyUnsupported(TransfersError):
    """The account is not held in this currency. Use the account's own."""

    reason = "CURRENCY_UNSUPPORTED"
    code = Code.INVALID_ARGUMENT


class TransferNotFound(TransfersError):
    """There is no such transfer of yours. List your transfers to see their ids."""

    reason = "TRANSFER_NOT_FOUND"
    code = Code.NOT_FOUND
