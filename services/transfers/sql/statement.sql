-- name: entries
-- One page of an account's entries, newest first, below a position, in a range of time and of some
-- kinds. It reads at most 1000 entries, those above `floor`, so a page of a rare kind may have few
-- rows, or only the row with the bounds. Each other party is read by its key.
WITH bounds AS MATERIALIZED (
    SELECT CASE WHEN $2::timestamptz IS NULL THEN 0 ELSE ledger.position_before($1, $2) END
        AS above, least($4::bigint, ledger.position_before($1, $3::timestamptz) + 1) AS below
), seen AS MATERIALIZED (
    SELECT b.above, b.below, greatest(b.above, b.below - 1001) AS floor FROM bounds b
)
SELECT b.above, b.floor, s.kind, s.reference, s.currency, s.amount, s.balance_after, s.position,
    s.post_time, t.account_id AS payer_account_id, t.destination_account_id,
    p.name, p.routing_number, p.account_number_ending
FROM seen b
LEFT JOIN LATERAL ledger.statement($1, b.below, $5, b.floor, $6::text[]) s ON true
LEFT JOIN LATERAL (
    SELECT t.account_id, t.destination_account_id
    FROM transfers.book_transfer t
    WHERE s.kind = 'BOOK_TRANSFER' AND t.shard = ledger.shard_of(s.reference)
      AND t.transfer_id = s.reference
    LIMIT 1
) t ON true
LEFT JOIN LATERAL payments.beneficiary(
    CASE WHEN s.kind LIKE 'INTERBANK%' THEN s.reference END) p ON true
ORDER BY s.position DESC

-- name: received
-- One page of the transfers that an account received in a range of time, newest first, below the
-- position of an entry. An index by payee would slow each transfer, so it reads the account's
-- entries, at most 1000: a page may have few rows, or only the row with the bounds.
WITH bounds AS MATERIALIZED (
    SELECT CASE WHEN $2::timestamptz IS NULL THEN 0 ELSE ledger.position_before($1, $2) END
        AS above, least($4::bigint, ledger.position_before($1, $3::timestamptz) + 1) AS below
), seen AS MATERIALIZED (
    SELECT b.above, b.below, greatest(b.above, b.below - 1001) AS floor FROM bounds b
)
SELECT b.above, b.floor, s.position, t.transfer_id, t.customer_id, t.account_id,
    t.destination_customer_id, t.destination_account_id, t.currency, t.amount, t.memo,
    t.create_time
FROM seen b
LEFT JOIN LATERAL ledger.statement(
    $1, b.below, $5, b.floor, ARRAY['BOOK_TRANSFER'], true) s ON true
LEFT JOIN LATERAL (
    SELECT t.transfer_id, t.customer_id, t.account_id, t.destination_customer_id,
        t.destination_account_id, t.currency, t.amount, t.memo, t.create_time
    FROM transfers.book_transfer t
    WHERE t.shard = ledger.shard_of(s.reference) AND t.transfer_id = s.reference
    LIMIT 1
) t ON true
ORDER BY s.position DESC
