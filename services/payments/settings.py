"""The knobs of payments, beside what each service is told."""

from services.chassis.settings import ServiceSettings


class PaymentsSettings(ServiceSettings):
    """Settings of payments; environment variables of the same names with the prefix BP_."""

    transfer_max_minor_units: int = 100_000_00
    """Most that one interbank transfer may move."""
    unscored_max_minor_units: int = 1_000_00
    """Most that one transfer may move while the fraud service cannot be asked."""
    answer_wait_s: float = 5.0
    """How long a caller waits for the clearing house before the answer is the state as it is."""
