"""The knobs of payments, beside what each service is told."""

from services.chassis.settings import ServiceSettings

SETTLEMENT_WAIT_S = 6 * 24 * 3600.0


class PaymentsSettings(ServiceSettings):
    """Settings of payments; environment variables of the same names with the prefix BP_."""

    transfer_minor_units_max: int = 100_000_00
    """Most that one interbank transfer may move."""
    unscored_minor_units_max: int = 1_000_00
    """Most that one transfer may move while the fraud service cannot be asked."""
    answer_wait_s: float = 5.0
    """How long a caller waits for the clearing house before the answer is the state as it is."""
    settlement_wait_s: float = SETTLEMENT_WAIT_S
    """How long the clearing house's notice of a submitted transfer is waited for before the bank
    asks. It settles within two banking days, at most five and a half calendar days: a weekend, a
    holiday and a transfer after the day's last batch together."""
