-- name: try_lead
-- Becomes the active relay until the session ends; false if another relay is active.
SELECT outbox.try_lead()

-- name: next_batch
-- The oldest waiting events, in order.
SELECT id, topic, key, event_id, event_type, subject, payload, traceparent, positions, create_time
FROM outbox.next_batch($1, $2)

-- name: mark_published
-- Moves acknowledged events from the queue to the published events.
SELECT outbox.mark_published($1, $2, $3)

-- name: park
-- Moves an event that can never be published to the parked events.
SELECT outbox.park($1, $2)

-- name: backlog
-- How many events wait or are parked, and the age of the oldest.
SELECT waiting, oldest_age_s, parked FROM outbox.backlog()

-- name: ensure_ledger_partitions
-- Creates the ledger's partitions of the coming months.
SELECT ledger.ensure_partitions()

-- name: ensure_outbox_partitions
-- Creates the outbox's partitions of the coming months.
SELECT outbox.ensure_partitions()

-- name: roll_up
-- Folds internal amounts into their checkpoints; returns how many it folded.
SELECT ledger.roll_up($1)

-- name: free_notifications
-- The part of the cluster's queue of notifications that is in use. PostgreSQL frees what all
-- listeners have read when it computes this.
SELECT pg_notification_queue_usage()

-- name: drop_published
-- Drops published events after their retention period; returns how many months it dropped.
SELECT outbox.drop_published()
