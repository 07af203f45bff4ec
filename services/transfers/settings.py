"""Settings of the transfers service."""

from services.chassis.settings import ServiceSettings


class TransfersSettings(ServiceSettings):
    """The settings of one transfers process."""

    amount_minor_units_max: int = 1_000_000_00
    """The largest amount that one book transfer may move, 1,000,000.00."""
    check_timeout_s: float = 4.0
    """Longest wait for the account check. The call's deadline is five seconds: four for this, one
    for the posting."""
    list_check_timeout_s: float = 2.0
    """Longest wait for the account check of a list. The call's deadline is three seconds."""
    holders_timeout_s: float = 1.0
    """Longest wait for the names on a page of a statement; then the page has no names. The call's
    deadline is four seconds: two for the account check, one for the page, one for this."""
