"""Settings of the customers service."""

from services.chassis.settings import ServiceSettings
from services.contracts.topics import read_by

GROUP = "customers"
TOPICS = read_by(GROUP)


class CustomersSettings(ServiceSettings):
    """The settings of one customers process."""

    position_wait_s: float = 2.0
    """Longest time that GetBalance waits for a position."""
    routing_number: str = "091000019"
    """The bank's ABA routing number, which is that of all its accounts."""
    projection_linger_ms: int = 50
    """How long the projection collects events for a batch; GetBalance may wait that much longer."""
