-- Takes the idempotency key of each order and returns the transfers whose key was free. Keys are
-- taken in the order of their primary key and before any account is locked, here and in every
-- other function, so that two groups cannot deadlock.
CREATE OR REPLACE FUNCTION payments.take_keys(orders payments.debit_order[]) RETURNS SETOF uuid
LANGUAGE sql
AS $$
    INSERT INTO payments.idempotency_key
        (shard, customer_id, idempotency_key, fingerprint, transfer_id)
    SELECT ledger.shard_of(o.account_id), o.customer_id, o.idempotency_key, o.fingerprint,
        o.transfer_id
    FROM unnest(orders) WITH ORDINALITY o
    ORDER BY 1, 2, 3, o.ordinality
    ON CONFLICT DO NOTHING
    RETURNING transfer_id
$$;
