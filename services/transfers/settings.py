"""Settings of the transfers service."""

from services.chassis.settings import ServiceSettings


class TransfersSettings(ServiceSettings):
    """What may be tuned here."""

    amount_minor_units_max: int = 1_000_000_00
    """Most that one book transfer may move, 1,000,000.00."""
    page_rows_max: int = 100
    """Most transfers of a page; the contract's limit."""
    check_timeout_s: float = 4.0
    """How long a transfer may wait for the check of its accounts, of the five seconds that it has.
    The remaining second is for the posting."""
    list_check_timeout_s: float = 2.0
    """How long a list may wait for the check of its account, of the three seconds that it has."""
