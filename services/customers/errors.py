"""What customers refuses; the reasons of bp.customers.v1."""

from services.kernel.errors import BankError, Code


class CustomersError(BankError):
    """The customer's data could not be read."""

    domain = "bp.customers.v1"


class CustomerNotFound(CustomersError):
    """There is no such customer. Log in again."""

    reason = "CUSTOMER_NOT_FOUND"
    code = Code.NOT_FOUND


class AccountNotFound(CustomersError):
    """There is no such account among yours. List your accounts to see their ids."""

    reason = "ACCOUNT_NOT_FOUND"
    code = Code.NOT_FOUND


class PositionNotReached(CustomersError):
    """The balance does not show this posting yet. Ask again shortly."""

    reason = "POSITION_NOT_REACHED"
    code = Code.UNAVAILABLE
    retry_after_s = 1
