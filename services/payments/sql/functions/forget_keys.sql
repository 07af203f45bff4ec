-- Deletes the keys of transfers that are older than 400 days. It looks at `rows_max` transfers at
-- most, and returns how many it looked at. It reads only transfers that no earlier call looked at,
-- so its cost does not depend on how many the bank keeps. The service calls it daily.
CREATE OR REPLACE FUNCTION payments.forget_keys(rows_max integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off
AS $$
#variable_conflict use_column
DECLARE
    before constant uuid := chassis.id_floor(now() - interval '400 days');
    place record;
    old uuid[];
    looked_at integer := 0;
BEGIN
    FOR place IN
        SELECT f.shard, f.through FROM payments.keys_forgotten f
        WHERE f.through < before ORDER BY f.shard FOR UPDATE SKIP LOCKED
    LOOP
        EXIT WHEN looked_at >= rows_max;
        old := ARRAY(
            SELECT t.transfer_id FROM payments.interbank_transfer t
            WHERE t.shard = place.shard AND t.transfer_id > place.through
              AND t.transfer_id < before
            ORDER BY t.transfer_id LIMIT rows_max - looked_at);
        CONTINUE WHEN old = '{}';
        DELETE FROM payments.idempotency_key k
        USING payments.interbank_transfer t
        WHERE t.shard = place.shard AND t.transfer_id = ANY (old)
          AND k.shard = place.shard AND k.customer_id = t.customer_id
          AND k.idempotency_key = t.idempotency_key AND k.transfer_id = t.transfer_id;
        UPDATE payments.keys_forgotten f SET through = old[cardinality(old)]
        WHERE f.shard = place.shard;
        looked_at := looked_at + cardinality(old);
    END LOOP;
    RETURN looked_at;
END $$;
