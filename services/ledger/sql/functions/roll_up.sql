-- Adds the amounts that internal accounts received since the last roll-up to their checkpoints,
-- and returns how many amounts it added. The relay calls it every few seconds. Only one runs at a
-- time: the lock of the table admits readers, and no login may take it.
CREATE OR REPLACE FUNCTION ledger.roll_up(rows_max integer DEFAULT 50000) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    folded bigint;
BEGIN
    LOCK TABLE ledger.internal_checkpoint IN SHARE UPDATE EXCLUSIVE MODE;
    WITH taken AS (
        DELETE FROM ledger.internal_pending p
        WHERE p.ctid = ANY (ARRAY(SELECT q.ctid FROM ledger.internal_pending q LIMIT rows_max))
        RETURNING p.shard, p.code, p.currency, p.amount
    ), summed AS (
        SELECT t.shard, t.code, t.currency, sum(t.amount) AS amount, count(*) AS n
        FROM taken t GROUP BY t.shard, t.code, t.currency
    ), kept AS (
        INSERT INTO ledger.internal_checkpoint AS c (shard, code, currency, balance)
        SELECT s.shard, s.code, s.currency, s.amount FROM summed s
        ON CONFLICT (shard, code, currency) DO UPDATE SET balance = c.balance + excluded.balance
    )
    SELECT coalesce(sum(s.n), 0) INTO folded FROM summed s;
    RETURN folded;
END $$;
