"""The relay's knobs, beside what every service is told."""

from services.chassis.settings import ServiceSettings


class RelaySettings(ServiceSettings):
    """How much the relay takes at once and how often it looks."""

    relay_batch_rows_max: int = 500
    """Events read, sent and marked together."""
    relay_gather_ms: int = 50
    """Rest after a batch, in which events gather: the price in lag of fewer, larger batches."""
    relay_poll_ms: int = 10
    """Pause between looks at an empty queue while events have been flowing."""
    relay_asleep_after_ms: int = 1_000
    """How long the queue stays empty before the relay sleeps and writers send notices."""
    relay_poll_asleep_ms: int = 250
    """Pause between looks while asleep: bounds the lag of an event whose notice was missed."""
    relay_lead_poll_ms: int = 250
    """Pause between a standby's tries to become the active relay."""
    relay_retry_ms: int = 500
    """Pause after PostgreSQL or Kafka failed."""
    relay_topic_pause_s: int = 10
    """How long a topic that Kafka does not know is left out, so that the others flow."""
    relay_upkeep_s: int = 15
    """Pause between rounds of upkeep: partitions, roll-up, metrics."""
