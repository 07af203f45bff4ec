"""Messages to customers: one message for each event, even if Kafka redelivers it."""
