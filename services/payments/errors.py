"""Why payments refuses: one class a cause, each a reason of bp.payments.v1.PaymentsErrorReason."""

from services.kernel.errors import BankError, Code


class PaymentsError(BankError):
    """The transfer could not be served."""

    domain = "bp.payments.v1"
    code = Code.FAILED_PRECONDITION


class InsufficientFunds(PaymentsError):
    """The account does not hold the amount. Choose a smaller one or pay in first."""

    reason = "INSUFFICIENT_FUNDS"


class AccountNotFound(PaymentsError):
    """You have no such account. List your accounts for their ids."""

    reason = "ACCOUNT_NOT_FOUND"
    code = Code.NOT_FOUND


class AccountFrozen(PaymentsError):
    """The account is frozen or closed and cannot be debited. Ask the bank why."""

    reason = "ACCOUNT_FROZEN"


class InvalidRoutingNumber(PaymentsError):
    """The routing number's check digit is wrong. Compare it with the beneficiary's."""

    reason = "INVALID_ROUTING_NUMBER"
    code = Code.INVALID_ARGUMENT


class UnknownRoutingNumber(PaymentsError):
    """No bank of the ACH network has this routing number. Ask the beneficiary for it."""

    reason = "UNKNOWN_ROUTING_NUMBER"


class InvalidBeneficiaryAccount(PaymentsError):
    """The clearing house refuses the beneficiary's account number. Ask the beneficiary for it."""

    reason = "INVALID_BENEFICIARY_ACCOUNT"


class AmountLimitExceeded(PaymentsError):
    """The amount is above what one transfer may move; the details say how much that is."""

    reason = "AMOUNT_LIMIT_EXCEEDED"


class AmountNotPositive(PaymentsError):
    """The amount must be at least one minor unit."""

    reason = "AMOUNT_NOT_POSITIVE"
    code = Code.INVALID_ARGUMENT


class CurrencyUnsupported(PaymentsError):
    """The account is not held in this currency; the bank holds accounts in USD."""

    reason = "CURRENCY_UNSUPPORTED"


class FraudDeclined(PaymentsError):
    """The transfer was declined by the fraud check. Call the bank if it is yours."""

    reason = "FRAUD_DECLINED"
    code = Code.PERMISSION_DENIED


class FraudCheckUnavailable(PaymentsError):
    """An amount this high needs the fraud check, which cannot be asked now. Try again shortly."""

    reason = "FRAUD_CHECK_UNAVAILABLE"
    code = Code.UNAVAILABLE
    retry_after_s = 30


class AchUnavailable(PaymentsError):
    """The clearing house could not take the transfer; you were credited again. Try again later."""

    reason = "ACH_UNAVAILABLE"
    code = Code.UNAVAILABLE
    retry_after_s = 30


class AchRefused(PaymentsError):
    """The clearing house refused the transfer; you were credited again. The details say why."""

    reason = "ACH_REFUSED"


class TransferNotFound(PaymentsError):
    """You have no such transfer. List the account's transfers for their ids."""

    reason = "TRANSFER_NOT_FOUND"
    code = Code.NOT_FOUND


class NotCancellable(PaymentsError):
    """The transfer is past the point where it can be cancelled. Ask the beneficiary for it."""

    reason = "NOT_CANCELLABLE"


class WebhookSignatureInvalid(PaymentsError):
    """The notice's signature is missing, wrong or too old. Sign it anew and repeat it."""

    reason = "WEBHOOK_SIGNATURE_INVALID"
    code = Code.UNAUTHENTICATED


class WebhookMalformed(PaymentsError):
    """The notice is not one that this bank knows. Compare it with the agreed format."""

    reason = "WEBHOOK_MALFORMED"
    code = Code.INVALID_ARGUMENT


_BY_REASON: dict[str, type[PaymentsError]] = {
    error.reason: error
    for error in (
        UnknownRoutingNumber,
        InvalidRoutingNumber,
        InvalidBeneficiaryAccount,
        AchUnavailable,
    )
}


def compensated(failure_reason: str, transfer_id: str) -> PaymentsError:
    """Return the error of a transfer that failed and was refunded."""
    known = _BY_REASON.get(failure_reason)
    if known is not None:
        return known(transfer_id=transfer_id)
    return AchRefused(transfer_id=transfer_id, ach_reason=failure_reason)
