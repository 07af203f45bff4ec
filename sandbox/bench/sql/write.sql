-- name: waiting
-- Events that are not in Kafka yet.
SELECT count(*) FROM outbox.event

-- name: transfers
-- Transfers of a run, by its idempotency keys, whatever became of them.
SELECT transfer_id::text FROM payments.idempotency_key WHERE starts_with(idempotency_key, $1)
UNION ALL
SELECT transfer_id::text FROM transfers.idempotency_key WHERE starts_with(idempotency_key, $1)

-- name: posted
-- Transfers that the books know, from an id on.
SELECT DISTINCT reference::text FROM ledger.entry
WHERE transaction_id >= ledger.id_floor($1) AND line = 1

-- name: published
-- Events in Kafka, from an instant on.
SELECT event_id::text, subject::text FROM outbox.published
WHERE event_id >= ledger.id_floor($1)

-- name: published_count
-- How many events are in Kafka, from an instant on.
SELECT count(*) FROM outbox.published WHERE event_id >= ledger.id_floor($1)
