"""Services on real PostgreSQL and Kafka, called as their sidecars call them."""
