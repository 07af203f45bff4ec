-- name: find
-- Transfers with an id, an idempotency key or a trace number, oldest first.
SELECT transfer_id, 'interbank' AS kind
FROM payments.interbank_transfer
WHERE transfer_id = $1 OR idempotency_key = $2 OR trace_number = $2
UNION
SELECT transfer_id, 'book' FROM transfers.book_transfer
WHERE shard = ledger.shard_of($1) AND transfer_id = $1
UNION
SELECT k.transfer_id, 'book' FROM payments.idempotency_key k
JOIN transfers.book_transfer t
    ON t.shard = ledger.shard_of(k.transfer_id) AND t.transfer_id = k.transfer_id
WHERE k.idempotency_key = $2
ORDER BY transfer_id;

-- name: interbank
-- An interbank transfer with the request that made it.
SELECT t.customer_id::text, t.account_id::text, t.amount, t.currency, t.beneficiary_name,
    t.routing_number, right(t.account_number, 4) AS account_number_end, t.account_type, t.memo,
    t.fraud_review, t.state, t.version, t.trace_number, t.failure_reason, t.return_code,
    t.cancel_requester,
    t.idempotency_key, encode(k.fingerprint, 'hex') AS fingerprint, t.correlation_id,
    t.traceparent, t.create_time, t.update_time, t.lease_owner, t.lease_until, t.attempts
FROM payments.interbank_transfer t
LEFT JOIN payments.idempotency_key k
    ON k.shard = t.shard AND k.customer_id = t.customer_id
    AND k.idempotency_key = t.idempotency_key AND k.transfer_id = t.transfer_id
WHERE t.shard = ledger.shard_of($1) AND t.transfer_id = $1;

-- name: book
-- A book transfer with the request that made it.
SELECT t.customer_id::text, t.account_id::text, t.destination_customer_id::text,
    t.destination_account_id::text, t.amount, t.currency, t.memo, 'COMPLETED' AS state,
    1 AS version, k.idempotency_key, encode(k.fingerprint, 'hex') AS fingerprint, t.create_time
FROM transfers.book_transfer t
LEFT JOIN payments.idempotency_key k
    ON k.shard = ledger.shard_of(t.customer_id) AND k.customer_id = t.customer_id
    AND k.transfer_id = t.transfer_id
WHERE t.shard = ledger.shard_of($1) AND t.transfer_id = $1;

-- name: entries
-- What a transfer posted. Lines of other customers are in other shards, so all are searched.
WITH posted AS MATERIALIZED (
    SELECT e.transaction_id FROM ledger.entry e
    WHERE e.shard = ledger.shard_of($1) AND e.reference = $1 AND e.line = 1
)
SELECT e.transaction_id::text, e.line, e.kind,
    coalesce(e.internal_code, e.account_id::text) AS account, e.amount, e.currency,
    e.balance_after, e.position, e.post_time
FROM posted p
CROSS JOIN generate_series(0, 63) AS s (shard)
JOIN ledger.entry e ON e.shard = s.shard::smallint AND e.transaction_id = p.transaction_id
ORDER BY e.transaction_id, e.line;

-- name: outbox
-- A transfer's events in the outbox: published, waiting or parked.
SELECT event_id::text, 'published' AS state, topic, partition, kafka_offset AS "offset",
    publish_time AS time
FROM outbox.published WHERE subject = $1
UNION ALL
SELECT event_id::text, 'waiting', topic, NULL, NULL, create_time
FROM outbox.event WHERE subject = $1
UNION ALL
SELECT event_id::text, 'parked: ' || reason, topic, NULL, NULL, park_time
FROM outbox.parked WHERE subject = $1
ORDER BY event_id;

-- name: notices
-- The clearing house's notices about a transfer.
SELECT notice_id, type, trace_number, return_code, state, receive_time
FROM payments.ach_notice
WHERE transfer_id = $1 OR trace_number = $2
ORDER BY receive_time;

-- name: audit
-- A transfer's records in the audit log.
SELECT event_id::text, event_type, chain, sequence, encode(hash, 'hex') AS hash, source_topic,
    source_partition, source_offset, log_offset, record_time
FROM audit.record
WHERE subject = $1::text
ORDER BY event_id;

-- name: messages
-- The messages to customers about a transfer.
SELECT n.notification_id, n.event_id, n.customer_id::text, n.template, n.title, n.create_time
FROM notif.notification n
WHERE n.notification_id = ANY ($1::uuid[])
ORDER BY n.notification_id;

-- name: deliveries
-- The deliveries of messages to each device.
SELECT notification_id, channel, device, state, attempts, deliver_time, detail
FROM notif.delivery
WHERE notification_id = ANY ($1::uuid[])
ORDER BY notification_id, device;

-- name: audited_revisions
-- The audit records of revisions of the mesh's configuration, in the order of their chain.
SELECT chain, sequence, record_time, event_id::text AS event_id, payload
FROM audit.record
WHERE subject = 'mesh-config' AND source_topic = 'mesh-events'
ORDER BY chain, sequence;

-- name: user_name
-- A customer's user name.
SELECT user_name FROM customers.customer WHERE customer_id = $1::text::uuid;

-- name: accounts_of
-- A customer's accounts.
SELECT account_id FROM customers.account WHERE customer_id = $1 ORDER BY account_id;

-- name: list
-- The transfers that accounts paid or received, newest first.
SELECT transfer_id::text, 'interbank' AS kind, state, amount, currency,
    coalesce(trace_number, '') AS trace_number, idempotency_key, create_time
FROM payments.interbank_transfer
WHERE account_id = ANY ($1::uuid[])
UNION ALL
SELECT transfer_id::text, CASE WHEN account_id = ANY ($1::uuid[]) THEN 'book' ELSE 'book in' END,
    'COMPLETED', amount, currency, '', '', create_time
FROM transfers.book_transfer
WHERE account_id = ANY ($1::uuid[]) OR destination_account_id = ANY ($1::uuid[])
ORDER BY create_time DESC, transfer_id DESC
LIMIT $2;
