"""The errors of payments, one class per cause; the reasons of bp.payments.v1."""

from services.kernel.errors import BankError, Code


class PaymentsError(BankError):
    """Payments could not carry out the request."""

    domain = "bp.payments.v1"
    code = Code.FAILED_PRECONDITION


class InsufficientFunds(PaymentsError):
    """The account does not hold the amount. Try a smaller amount or add funds first."""

    reason = "INSUFFICIENT_FUNDS"


class AccountNotFound(PaymentsError):
    """You have no account with this id. List your accounts to see their ids."""

    reason = "ACCOUNT_NOT_FOUND"
    code = Code.NOT_FOUND


class AccountFrozen(PaymentsError):
    """The account to debit is frozen or closed. Contact the bank."""

    reason = "ACCOUNT_FROZEN"


class InvalidRoutingNumber(PaymentsError):
    """The routing number's check digit is wrong. Check the number with the beneficiary."""

    reason = "INVALID_ROUTING_NUMBER"
    code = Code.INVALID_ARGUMENT


class InvalidRoutingNumberRefunded(InvalidRoutingNumber):
    """The clearing house refused the routing number as invalid, and you were refunded.

    Check the number with the beneficiary.
    """


class UnknownRoutingNumber(PaymentsError):
    """No bank in the ACH network has this routing number. Check it with the beneficiary."""

    reason = "UNKNOWN_ROUTING_NUMBER"


class UnknownRoutingNumberRefunded(UnknownRoutingNumber):
    """The clearing house knows no bank with this routing number, and you were refunded.

    Check the number with the beneficiary.
    """


class OwnRoutingNumber(PaymentsError):
    """This routing number is this bank's own. Nothing was debited.

    Use CreateBookTransfer (POST /v1/transfers/internal) with the id of the beneficiary's account.
    """

    reason = "OWN_ROUTING_NUMBER"
    code = Code.INVALID_ARGUMENT


class InvalidBeneficiaryAccount(PaymentsError):
    """The clearing house refused the account number, and you were refunded.

    Check the number with the beneficiary.
    """

    reason = "INVALID_BENEFICIARY_ACCOUNT"


class AmountLimitExceeded(PaymentsError):
    """The amount exceeds the limit for one transfer. Try a smaller amount.

    The details have the limit in minor units (cents).
    """

    reason = "AMOUNT_LIMIT_EXCEEDED"


class AmountNotPositive(PaymentsError):
    """The amount is not positive. Send at least one minor unit (cent)."""

    reason = "AMOUNT_NOT_POSITIVE"
    code = Code.INVALID_ARGUMENT


class CurrencyUnsupported(PaymentsError):
    """The account is not held in this currency. Use USD, the currency of all accounts."""

    reason = "CURRENCY_UNSUPPORTED"


class FraudDeclined(PaymentsError):
    """The fraud check declined the transfer. Contact the bank if you ordered it."""

    reason = "FRAUD_DECLINED"
    code = Code.PERMISSION_DENIED


class FraudCheckUnavailable(PaymentsError):
    """An amount this high needs a fraud check, which is temporarily unavailable. Please retry."""

    reason = "FRAUD_CHECK_UNAVAILABLE"
    code = Code.UNAVAILABLE
    # The fraud service's circuit breaker opens for 120 s (mesh/config/partners/fraud.yaml).
    retry_after_s = 150


class AchUnavailable(PaymentsError):
    """The clearing house could not accept the transfer. You were refunded; please retry later."""

    reason = "ACH_UNAVAILABLE"
    code = Code.UNAVAILABLE
    # The clearing house's circuit breaker opens for 60 s (mesh/config/partners/ach-network.yaml).
    # An earlier retry would only make another failed transfer.
    retry_after_s = 90


class AchRefused(PaymentsError):
    """The clearing house refused the transfer, and you were refunded.

    Check the beneficiary's details, then send a new transfer.
    """

    reason = "ACH_REFUSED"


class TransferNotFound(PaymentsError):
    """You have no transfer with this id. List the account's transfers to see their ids."""

    reason = "TRANSFER_NOT_FOUND"
    code = Code.NOT_FOUND


class NotCancellable(PaymentsError):
    """The transfer can no longer be cancelled."""

    reason = "NOT_CANCELLABLE"


class TransferSent(NotCancellable):
    """The transfer can no longer be cancelled. Ask the beneficiary to return it."""


class TransferFailed(NotCancellable):
    """The transfer failed, and the money is back in the account. Cancelling it is not necessary."""


class TransferReturned(NotCancellable):
    """The beneficiary's bank returned the transfer, and the money is back in the account.

    Cancelling it is not necessary.
    """


class WebhookSignatureInvalid(PaymentsError):
    """The notice's signature is missing, wrong or too old. Sign the notice again and resend it."""

    reason = "WEBHOOK_SIGNATURE_INVALID"
    code = Code.UNAUTHENTICATED


class WebhookMalformed(PaymentsError):
    """The bank cannot read the notice. Compare it with the agreed format and resend it."""

    reason = "WEBHOOK_MALFORMED"
    code = Code.INVALID_ARGUMENT


_BY_REASON: dict[str, type[PaymentsError]] = {
    error.reason: error
    for error in (
        UnknownRoutingNumberRefunded,
        InvalidRoutingNumberRefunded,
        InvalidBeneficiaryAccount,
        AchUnavailable,
    )
}

_NOT_CANCELLABLE: dict[str, type[NotCancellable]] = {
    "FAILED": TransferFailed,
    "RETURNED": TransferReturned,
}


def not_cancellable(state: str) -> NotCancellable:
    """Return the error of a cancellation that comes too late for a transfer in this state."""
    return _NOT_CANCELLABLE.get(state, TransferSent)(state=state)


def public_reason(failure_reason: str) -> str:
    """Return why a transfer failed as the customer reads it: a name of PaymentsErrorReason, or "".

    The clearing house's own code is for operators: it may tell more than the customer may know.
    """
    if not failure_reason or failure_reason in _BY_REASON:
        return failure_reason
    return AchRefused.reason


def compensated(failure_reason: str, transfer_id: str) -> PaymentsError:
    """Return the error of a transfer that failed and was refunded."""
    return _BY_REASON.get(failure_reason, AchRefused)(transfer_id=transfer_id)
