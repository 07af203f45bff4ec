"""The errors of customers, one class per cause; the reasons of bp.customers.v1."""

from services.kernel.errors import BankError, Code


class CustomersError(BankError):
    """Customers could not carry out the request."""

    domain = "bp.customers.v1"


class CustomerNotFound(CustomersError):
    """The customer does not exist. Log in again."""

    reason = "CUSTOMER_NOT_FOUND"
    code = Code.NOT_FOUND


class AccountNotFound(CustomersError):
    """You have no account with this id. List your accounts to see their ids."""

    reason = "ACCOUNT_NOT_FOUND"
    code = Code.NOT_FOUND


class PositionNotReached(CustomersError):
    """The balance does not show this posting yet. Please retry."""

    reason = "POSITION_NOT_REACHED"
    code = Code.UNAVAILABLE
    retry_after_s = 1
