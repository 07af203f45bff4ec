"""The outbox's way to Kafka: events that were committed beside their change, in order per key."""
