"""Settings of the payments service."""

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field

from services.chassis.settings import ServiceSettings

SETTLEMENT_WAIT_S = 6 * 24 * 3600.0
RETURN_WAIT_S = 6 * 24 * 3600.0
LATE_RETURN_WAIT_S = 62 * 24 * 3600.0


class PaymentsSettings(ServiceSettings):
    """The settings of one payments process."""

    former_names: ClassVar[Mapping[str, str]] = {
        "transfer_minor_units_max": "BP_TRANSFER_MAX_MINOR_UNITS",
        "unscored_minor_units_max": "BP_UNSCORED_MAX_MINOR_UNITS",
    }

    transfer_minor_units_max: int = 100_000_00
    """The largest amount that one interbank transfer may move."""
    unscored_minor_units_max: int = 1_000_00
    """The largest amount that one transfer may move while the fraud service is unavailable."""
    routing_number: str = "091000019"
    """The bank's own ABA routing number, the same as in the settings of customers. An interbank
    transfer to it is refused (OWN_ROUTING_NUMBER)."""
    check_timeout_s: float = 3.0
    """Longest wait for the account check. The call's deadline is ten seconds: five for the clearing
    house, two for the debit, three for this."""
    list_check_timeout_s: float = 2.0
    """Longest wait for the account check of a list. The call's deadline is three seconds."""
    answer_wait_s: float = 5.0
    """How long a caller waits for the clearing house before it gets the current state."""
    waits_per_customer_max: int = Field(default=100, ge=1)
    """As many as the gateway admits in one burst of a customer's orders. A call beyond it gets the
    transfer's current state without a wait, or REQUEST_IN_PROGRESS if it repeats a request that is
    still being answered."""
    return_wait_s: float = RETURN_WAIT_S
    """How long after settlement payments asks the clearing house whether a transfer was returned.
    A bank has two banking days for a return; the rest allows for weekends, holidays and the
    notice."""
    late_return_wait_s: float = LATE_RETURN_WAIT_S
    """The same for returns of unauthorised entries, for which a bank has 60 calendar days."""
    settlement_wait_s: float = SETTLEMENT_WAIT_S
    """How long payments waits for the clearing house's notice of a submitted transfer before it
    asks. The clearing house settles within two banking days, at most five and a half calendar
    days: a weekend, a holiday and a transfer after the day's last batch together."""
