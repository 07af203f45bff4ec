-- Finds the idempotency keys that are in use: the transfer and the fingerprint of each, with the
-- key's number in the arrays. The settings make PostgreSQL look up each row by its key, even when a
-- young table has no statistics.
CREATE OR REPLACE FUNCTION payments.find_keys(
    shards smallint[], customer_ids uuid[], idempotency_keys text[]
) RETURNS TABLE (number bigint, transfer_id uuid, fingerprint bytea)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT o.number, k.transfer_id, k.fingerprint
    FROM unnest(shards, customer_ids, idempotency_keys)
        WITH ORDINALITY AS o (shard, customer_id, idempotency_key, number)
    JOIN payments.idempotency_key k
      ON k.shard = o.shard AND k.customer_id = o.customer_id
     AND k.idempotency_key = o.idempotency_key;
END $$;
