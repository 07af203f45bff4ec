-- name: transfers
-- Every transfer of some customers in the books, with the idempotency key of its request.
SELECT 'interbank' AS kind, t.transfer_id::text, t.customer_id::text, t.idempotency_key,
    t.account_id::text, '' AS destination_account_id, t.amount, t.state
FROM payments.interbank_transfer t
WHERE t.customer_id = ANY ($1::uuid[])
UNION ALL
SELECT 'book', t.transfer_id::text, t.customer_id::text, coalesce(k.idempotency_key, ''),
    t.account_id::text, t.destination_account_id::text, t.amount, 'POSTED'
FROM transfers.book_transfer t
LEFT JOIN payments.idempotency_key k
    ON k.shard = ledger.shard_of(t.customer_id) AND k.customer_id = t.customer_id
    AND k.transfer_id = t.transfer_id
WHERE t.customer_id = ANY ($1::uuid[]);

-- name: balances
-- Posted balances of some accounts.
SELECT account_id::text, balance FROM ledger.account WHERE account_id = ANY ($1::uuid[]);

-- name: unsettled
-- Transfers of some customers that are not in any of the given states.
SELECT count(*)
FROM payments.interbank_transfer
WHERE customer_id = ANY ($1::uuid[]) AND state <> ALL ($2::text[]);
