"""Settings of the customers service."""

from services.chassis.settings import ServiceSettings


class CustomersSettings(ServiceSettings):
    """What may be tuned here."""

    position_wait_s: float = 2.0
    """Longest time that GetBalance waits for a position."""
    page_rows_max: int = 100
    """Most accounts of a page; the contract's limit."""
    projection_linger_ms: int = 20
    """How long events gather before they are applied; adds to what GetBalance waits."""
