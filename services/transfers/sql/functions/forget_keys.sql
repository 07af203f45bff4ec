-- Deletes keys that are older than 400 days. It looks at `rows_max` old transfers at most, and
-- returns how many it looked at. A transfer does not have its key, so the function deletes all old
-- keys of the transfer's customer, including those of interbank transfers, which end at the same
-- age. It reads only transfers that no earlier call looked at, so its cost does not depend on how
-- many the bank keeps. The service calls it daily.
CREATE OR REPLACE FUNCTION transfers.forget_keys(rows_max integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off
AS $$
#variable_conflict use_column
DECLARE
    before constant uuid := chassis.id_floor(now() - interval '400 days');
    place record;
    old uuid[];
    payers uuid[];
    looked_at integer := 0;
BEGIN
    FOR place IN
        SELECT f.shard, f.through FROM transfers.keys_forgotten f
        WHERE f.through < before ORDER BY f.shard FOR UPDATE SKIP LOCKED
    LOOP
        EXIT WHEN looked_at >= rows_max;
        SELECT coalesce(array_agg(t.transfer_id ORDER BY t.transfer_id), '{}'),
            array_agg(DISTINCT t.customer_id)
        INTO old, payers
        FROM (
            SELECT b.transfer_id, b.customer_id FROM transfers.book_transfer b
            WHERE b.shard = place.shard AND b.transfer_id > place.through
              AND b.transfer_id < before
            ORDER BY b.transfer_id LIMIT rows_max - looked_at
        ) t;
        CONTINUE WHEN old = '{}';
        DELETE FROM payments.idempotency_key k
        USING unnest(payers) AS p (customer_id)
        WHERE k.shard = ledger.shard_of(p.customer_id) AND k.customer_id = p.customer_id
          AND k.transfer_id < before;
        UPDATE transfers.keys_forgotten f SET through = old[cardinality(old)]
        WHERE f.shard = place.shard;
        looked_at := looked_at + cardinality(old);
    END LOOP;
    RETURN looked_at;
END $$;
