-- name: waiting
-- Number of events that are not in Kafka yet.
SELECT count(*) FROM outbox.event

-- name: transfers
-- Transfers of a run in any state, found by the prefix of its idempotency keys.
SELECT transfer_id::text FROM payments.idempotency_key WHERE starts_with(idempotency_key, $1)

-- name: posted
-- Transfers with entries in the books since an instant.
SELECT DISTINCT reference::text FROM ledger.entry
WHERE transaction_id >= chassis.id_floor($1) AND line = 1

-- name: published
-- Events that were published to Kafka since an instant.
SELECT event_id::text, subject::text FROM outbox.published
WHERE event_id >= chassis.id_floor($1)

-- name: published_count
-- Number of events that were published to Kafka since an instant.
SELECT count(*) FROM outbox.published WHERE event_id >= chassis.id_floor($1)
