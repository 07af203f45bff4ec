-- Takes idempotency keys in `store`, the key table of a service. It returns the transfers whose key
-- was free. Keys are taken in the order of the table's primary key and before any account is
-- locked, here and in every other function, so that two batches cannot deadlock. Of two equal keys
-- in a batch the first is taken. It runs with the rights of its caller.
CREATE OR REPLACE FUNCTION chassis.take_keys(store regclass, keys chassis.request_key[])
RETURNS uuid[]
LANGUAGE plpgsql
AS $$
DECLARE
    taken uuid[];
BEGIN
    EXECUTE format($sql$
        WITH taken AS (
            INSERT INTO %s (shard, customer_id, idempotency_key, fingerprint, transfer_id)
            SELECT k.shard, k.customer_id, k.idempotency_key, k.fingerprint, k.transfer_id
            FROM unnest($1) WITH ORDINALITY k
            ORDER BY 1, 2, 3, k.ordinality
            ON CONFLICT DO NOTHING
            RETURNING transfer_id)
        SELECT array_agg(transfer_id) FROM taken $sql$, store)
    INTO taken
    USING keys;
    RETURN coalesce(taken, '{}');
END $$;
