"""Messages to customers: one push for each event, also when Kafka redelivers it."""
