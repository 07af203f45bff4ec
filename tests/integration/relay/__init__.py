"""The outbox and its relay against a real PostgreSQL and a real Kafka."""
