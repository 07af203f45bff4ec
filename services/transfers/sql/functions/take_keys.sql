-- Takes the idempotency key of each request and returns the transfers whose key was free. Keys are
-- taken in the order of their primary key and before any account is locked, here and in every
-- other function, so that two groups cannot deadlock.
CREATE OR REPLACE FUNCTION transfers.take_keys(requests transfers.request[]) RETURNS SETOF uuid
LANGUAGE sql
AS $$
    INSERT INTO transfers.idempotency_key
        (shard, customer_id, idempotency_key, fingerprint, transfer_id)
    SELECT ledger.shard_of(r.customer_id), r.customer_id, r.idempotency_key, r.fingerprint,
        r.transfer_id
    FROM unnest(requests) WITH ORDINALITY r
    ORDER BY 1, 2, 3, r.ordinality
    ON CONFLICT DO NOTHING
    RETURNING transfer_id
$$;
