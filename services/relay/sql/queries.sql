-- name: try_lead
-- Takes the lock that makes this the one active relay; false if another holds it.
SELECT pg_try_advisory_lock(hashtextextended('outbox.relay', 0))

-- name: next_batch
-- The oldest waiting events, in order.
SELECT id, topic, key, event_id, event_type, subject, payload, traceparent, positions, create_time
FROM outbox.next_batch($1, $2)

-- name: mark_published
-- Moves acknowledged events from the queue to the record.
SELECT outbox.mark_published($1, $2, $3)

-- name: park
-- Takes an event out of the way that can never be published.
SELECT outbox.park($1, $2)

-- name: set_asleep
-- Says whether writers have to send a notice.
SELECT outbox.set_asleep($1)

-- name: backlog
-- How far the relay is behind.
SELECT waiting, oldest_age_s, parked FROM outbox.backlog()

-- name: ensure_ledger_partitions
-- Makes the ledger's partitions ahead of time.
SELECT ledger.ensure_partitions()

-- name: ensure_outbox_partitions
-- Makes the outbox's partitions ahead of time.
SELECT outbox.ensure_partitions()

-- name: roll_up
-- Folds internal amounts into their checkpoints.
SELECT ledger.roll_up()
