"""The errors of transfers, one class per cause; the reasons of bp.transfers.v1."""

from services.kernel.errors import BankError, Code


class TransfersError(BankError):
    """Transfers could not carry out the request."""

    domain = "bp.transfers.v1"
    code = Code.FAILED_PRECONDITION


class InsufficientFunds(TransfersError):
    """The account does not hold the amount. Try a smaller amount or add funds first."""

    reason = "INSUFFICIENT_FUNDS"


class AccountNotFound(TransfersError):
    """You have no account with this id. List your accounts to see their ids."""

    reason = "ACCOUNT_NOT_FOUND"
    code = Code.NOT_FOUND


class AccountFrozen(TransfersError):
    """The account to debit is frozen or closed. Contact the bank."""

    reason = "ACCOUNT_FROZEN"


class DestinationNotFound(TransfersError):
    """The account to credit does not exist or is closed. Check its id with the payee."""

    reason = "DESTINATION_NOT_FOUND"


class SameAccount(TransfersError):
    """The source and the destination are the same account. Choose another destination."""

    reason = "SAME_ACCOUNT"
    code = Code.INVALID_ARGUMENT


class AmountLimitExceeded(TransfersError):
    """The amount exceeds the limit for one transfer. Try a smaller amount.

    The details have the limit in minor units (cents).
    """

    reason = "AMOUNT_LIMIT_EXCEEDED"


class AmountNotPositive(TransfersError):
    """The amount is not positive. Send at least one minor unit (cent)."""

    reason = "AMOUNT_NOT_POSITIVE"
    code = Code.INVALID_ARGUMENT


class CurrencyUnsupported(TransfersError):
    """One of the accounts is not held in this currency. Use the currency of both accounts."""

    reason = "CURRENCY_UNSUPPORTED"


class TransferNotFound(TransfersError):
    """You have no transfer with this id. List your transfers to see their ids."""

    reason = "TRANSFER_NOT_FOUND"
    code = Code.NOT_FOUND
