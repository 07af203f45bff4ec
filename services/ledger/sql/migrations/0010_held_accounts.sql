-- migrate:up

SET ROLE ledger_owner;

-- Returns the accounts, of those given, whose rows another session has locked for a posting. It
-- locks the others only until its statement's transaction ends. The settings make PostgreSQL look
-- up each row by its key, even when a young table has no statistics.
CREATE FUNCTION ledger.held_accounts(account_ids uuid[]) RETURNS uuid[]
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
RESET ROLE;
REVOKE ALL ON FUNCTION ledger.held_accounts(uuid[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ledger.held_accounts(uuid[]) TO bp_payments, bp_transfers;

-- migrate:down
DROP FUNCTION ledger.held_accounts(uuid[]);
