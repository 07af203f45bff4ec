-- Locks the customer accounts of some postings in (shard, account_id) order, as every posting
-- does, and returns them. The settings make PostgreSQL look up each row by its key, even when a
-- young table has no statistics.
CREATE OR REPLACE FUNCTION ledger.lock_accounts(postings ledger.posting[]) RETURNS ledger.posted[]
LANGUAGE sql SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off
AS $$
    SELECT coalesce(array_agg(
        ROW(h.account_id, h.currency, h.balance, h.position)::ledger.posted), '{}')
    FROM (
        SELECT a.account_id, a.currency, a.balance, a.position
        FROM (SELECT DISTINCT l.account_id FROM unnest(postings) p, unnest(p.legs) l) wanted
        JOIN ledger.account a
          ON a.shard = ledger.shard_of(wanted.account_id) AND a.account_id = wanted.account_id
        ORDER BY a.shard, a.account_id FOR NO KEY UPDATE OF a
    ) h
$$;
