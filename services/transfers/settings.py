"""Settings of the transfers service."""

from services.chassis.settings import ServiceSettings


class TransfersSettings(ServiceSettings):
    """What may be tuned here."""

    amount_minor_units_max: int = 1_000_000_00
    """Most that one book transfer may move, 1,000,000.00."""
    page_rows_max: int = 100
    """Most transfers of a page; the contract's limit."""
    check_timeout_s: float = 4.0
    """How long the check of the accounts at customers may take: the deadline of that method. The
    transfer itself has five seconds; a check that ends earlier fails transfers that have time."""
