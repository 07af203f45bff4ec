-- Returns those of the given accounts whose rows another session has locked for a posting. It locks
-- the other rows only until the caller's transaction ends. The settings make PostgreSQL look up
-- each row by its key, even when a young table has no statistics. Only processes of the previous
-- version call it, during a rolling release.
CREATE OR REPLACE FUNCTION ledger.held_accounts(account_ids uuid[]) RETURNS uuid[]
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off
AS $$
DECLARE
    free constant uuid[] := ARRAY(
        SELECT a.account_id
        FROM (SELECT DISTINCT i.id FROM unnest(account_ids) i (id)) wanted
        JOIN ledger.account a
          ON a.shard = ledger.shard_of(wanted.id) AND a.account_id = wanted.id
        ORDER BY a.shard, a.account_id FOR NO KEY UPDATE OF a SKIP LOCKED);
BEGIN
    RETURN ARRAY(
        SELECT a.account_id
        FROM (SELECT DISTINCT i.id FROM unnest(account_ids) i (id)) wanted
        JOIN ledger.account a
          ON a.shard = ledger.shard_of(wanted.id) AND a.account_id = wanted.id
        WHERE a.account_id <> ALL (free));
END $$;
