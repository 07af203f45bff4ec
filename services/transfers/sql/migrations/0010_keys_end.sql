-- migrate:up

-- Keys of book transfers end after 400 days, like those of interbank transfers.

SET ROLE transfers_owner;

CREATE TABLE transfers.keys_forgotten (
    shard   smallint NOT NULL PRIMARY KEY,
    through uuid NOT NULL
);
INSERT INTO transfers.keys_forgotten (shard, through)
SELECT s, '00000000-0000-0000-0000-000000000000' FROM generate_series(0, 63) s;

COMMENT ON TABLE transfers.keys_forgotten IS
    'How far the keys are forgotten: up to the book transfer `through` of each shard.';
COMMENT ON TABLE transfers.idempotency_key IS
    'The transfer of each key of a customer, for 400 days: a forgotten key could pay twice. '
    'A key is unique over all time, so the partitions are by shard and not by time. The answer is '
    'with the transfer.';

-- Forgets keys that are older than 400 days, and returns how many old transfers it looked at, at
-- most `rows_max`. A transfer does not have its key, so all old keys of its customer are removed at
-- once. It reads only transfers that it has not looked at before, so its cost does not depend on
-- how many the bank keeps. The service calls it daily.
CREATE FUNCTION transfers.forget_keys(rows_max integer) RETURNS integer
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
        DELETE FROM transfers.idempotency_key k
        USING unnest(payers) AS p (customer_id)
        WHERE k.shard = ledger.shard_of(p.customer_id) AND k.customer_id = p.customer_id
          AND k.transfer_id < before;
        UPDATE transfers.keys_forgotten f SET through = old[cardinality(old)]
        WHERE f.shard = place.shard;
        looked_at := looked_at + cardinality(old);
    END LOOP;
    RETURN looked_at;
END $$;

GRANT EXECUTE ON FUNCTION transfers.forget_keys(integer) TO bp_transfers;

RESET ROLE;

-- migrate:down
-- Older migrations drop the tables, so this one refuses while there is something to lose.
DO $$
BEGIN
    IF EXISTS (SELECT FROM transfers.book_transfer) THEN
        RAISE EXCEPTION 'schema transfers holds book transfers'
            USING ERRCODE = 'object_in_use',
                HINT = 'Keep them with a new migration, or restore a backup.';
    END IF;
END $$;
DROP FUNCTION transfers.forget_keys(integer);
DROP TABLE transfers.keys_forgotten;
