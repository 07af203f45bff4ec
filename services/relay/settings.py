"""Settings of the relay."""

from services.chassis.settings import ServiceSettings


class RelaySettings(ServiceSettings):
    """The batch size and the intervals of one relay process.

    Environment variables are BP_RELAY_…, so that an operator can tell them from the settings that
    every service has.
    """

    relay_batch_rows_max: int = 500
    """The largest number of events that are read, sent and marked together."""
    relay_gather_ms: int = 50
    """Pause after a batch, during which events gather. A longer pause means fewer, larger batches
    and more lag."""
    relay_poll_ms: int = 10
    """Pause between polls of an empty queue while the relay is awake."""
    relay_asleep_after_ms: int = 1_000
    """How long the queue stays empty before the relay sleeps."""
    relay_poll_asleep_ms: int = 50
    """Pause between polls while the relay sleeps: the largest additional lag of the first event. A
    shorter pause costs an idle database more statements."""
    relay_lead_poll_ms: int = 250
    """Pause between a standby's attempts to become the active relay."""
    relay_retry_ms: int = 500
    """Pause after PostgreSQL or Kafka failed."""
    relay_topic_pause_s: int = 10
    """How long the relay skips a topic that Kafka does not know, so that other topics continue."""
    relay_upkeep_s: int = 15
    """Pause between rounds of upkeep: partitions, roll-up, metrics."""
    relay_free_notifications_s: int = 5
    """Pause between two checks of the queue of notifications."""
