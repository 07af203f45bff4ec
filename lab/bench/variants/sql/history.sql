-- name: prepare
-- Temporary tables for one batch, and a function that makes an id for any moment and shard.
CREATE FUNCTION pg_temp.id_of(moment timestamptz, what text, shard integer) RETURNS uuid
LANGUAGE sql IMMUTABLE AS $$
    SELECT (lpad(to_hex(floor(extract(epoch FROM moment) * 1000)::bigint), 12, '0')
        || '7' || substr(d, 1, 3) || '8' || substr(d, 4, 13)
        || lpad(to_hex((('x' || substr(d, 17, 2))::bit(8)::integer & 192) | shard), 2, '0'))::uuid
    FROM (SELECT md5(what)) AS drawn (d)
$$;
CREATE TEMP TABLE holder (
    n bigint PRIMARY KEY, customer_id uuid, account_id uuid, shard smallint, balance bigint,
    position bigint
);
CREATE TEMP TABLE batch (
    n bigint, shard smallint, customer_id uuid, account_id uuid, amount bigint, balance bigint,
    position bigint, at timestamptz, transfer_id uuid, debit_id uuid, refund_id uuid,
    debited_id uuid, cancelled_id uuid
)

-- name: holders
-- The accounts that get the history, numbered from 0, with their current balance and position.
INSERT INTO holder
SELECT u.n - 1, u.customer_id, a.account_id, a.shard, a.balance, a.position
FROM unnest($1::uuid[], $2::uuid[]) WITH ORDINALITY u (account_id, customer_id, n)
JOIN ledger.account a ON a.shard = ledger.shard_of(u.account_id) AND a.account_id = u.account_id

-- name: batch
-- Transfers $1 to $2 of $3, with ids derived from the name $4 of this load. They are dated in order
-- over 20 days. Each is debited and refunded, so the balance of every account stays the same.
INSERT INTO batch
SELECT t.n, h.shard, h.customer_id, h.account_id, 100 + t.n % 900, h.balance,
    h.position + 2 * (t.n / t.holders), t.at,
    pg_temp.id_of(t.at, 't' || t.name, h.shard), pg_temp.id_of(t.at, 'd' || t.name, h.shard),
    pg_temp.id_of(t.at, 'r' || t.name, h.shard), pg_temp.id_of(t.at, 'e' || t.name, h.shard),
    pg_temp.id_of(t.at, 'f' || t.name, h.shard)
FROM (
    SELECT n, (SELECT count(*) FROM holder) AS holders, $4::text || n AS name,
        now() - interval '20 days' + (n / $3::double precision) * interval '19 days' AS at
    FROM generate_series($1::bigint, $2::bigint) n
) t
JOIN holder h ON h.n = t.n % t.holders

-- name: entries
-- The debit and the refund of each transfer.
INSERT INTO ledger.entry (shard, transaction_id, line, account_id, internal_code, currency,
    amount, balance_after, position, kind, reference, post_time)
SELECT b.shard, e.id, e.line, e.account_id, e.code, 'USD', e.amount, e.balance, e.position,
    e.kind, b.transfer_id, b.at
FROM batch b, LATERAL (VALUES
    (b.debit_id, 1, b.account_id, NULL, -b.amount, b.balance - b.amount, b.position + 1,
        'INTERBANK_DEBIT'),
    (b.debit_id, 2, NULL, 'ACH_CLEARING', b.amount, NULL, NULL, 'INTERBANK_DEBIT'),
    (b.refund_id, 1, b.account_id, NULL, b.amount, b.balance, b.position + 2,
        'INTERBANK_REFUND'),
    (b.refund_id, 2, NULL, 'ACH_CLEARING', -b.amount, NULL, NULL, 'INTERBANK_REFUND')
) AS e (id, line, account_id, code, amount, balance, position, kind)

-- name: transfers
-- The transfers, all cancelled, so they do not have to exist at the clearing house.
INSERT INTO payments.interbank_transfer (shard, transfer_id, customer_id, account_id, amount,
    currency, beneficiary_name, routing_number, account_number, account_type, memo, fraud_review,
    state, version, idempotency_key, accepted_response, correlation_id, traceparent, create_time,
    update_time, lease_owner, lease_until)
SELECT b.shard, b.transfer_id, b.customer_id, b.account_id, b.amount, 'USD', 'Bo Rivera',
    '021000021', '700001234', 'CHECKING', 'rent', false, 'CANCELLED', 2, $1::text || b.n,
    convert_to(repeat('x', 240), 'UTF8'), b.transfer_id::text,
    '00-' || replace(b.transfer_id::text, '-', '') || '-0000000000000001-00', b.at, b.at,
    'history', b.at
FROM batch b

-- name: keys
-- The idempotency keys of the transfers.
INSERT INTO payments.idempotency_key (shard, customer_id, idempotency_key, fingerprint,
    transfer_id)
SELECT b.shard, b.customer_id, $1::text || b.n, sha256(convert_to(b.transfer_id::text, 'UTF8')),
    b.transfer_id
FROM batch b

-- name: published
-- Two events for each transfer. The offset is before the first message in Kafka, as for events that
-- are older than its retention.
INSERT INTO outbox.published (event_id, topic, partition, kafka_offset, subject, publish_time)
SELECT e.id, 'payments', 0, -1, b.transfer_id, b.at
FROM batch b, LATERAL (VALUES (b.debited_id), (b.cancelled_id)) AS e (id)

-- name: positions
-- Add the new entries to each account's position.
UPDATE ledger.account a
SET position = a.position + 2 * w.transfers
FROM (SELECT h.shard, h.account_id,
        ($1::bigint - 1 - h.n) / (SELECT count(*) FROM holder) + 1 AS transfers
      FROM holder h WHERE h.n < $1::bigint) w
WHERE a.shard = w.shard AND a.account_id = w.account_id
RETURNING a.account_id, a.position

-- name: projected
-- Set the balances of the customers service to the same positions.
UPDATE customers.balance b
SET position = u.position
FROM unnest($1::uuid[], $2::bigint[]) u (account_id, position)
WHERE b.account_id = u.account_id

-- name: transfers_count
-- Number of interbank transfers.
SELECT count(*) FROM payments.interbank_transfer

-- name: books_problems
-- Number of problems that the ledger's check finds.
SELECT count(*) FROM ledger.check()
