"""Publishes the outbox to Kafka: events committed with their change, in order per key."""
