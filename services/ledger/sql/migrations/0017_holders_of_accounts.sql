-- migrate:up

-- The holder of a locked account tells a busy account from one that another session holds.
SET ROLE ledger_owner;

-- Returns the accounts, of those given, whose rows another session has locked for a posting, each
-- with its holder: the transaction, or a number of several. The holder of a busy account changes.
-- It locks the other rows only until its statement's transaction ends, which does not wait for the
-- disk or a standby. The settings make PostgreSQL look up each row by its key, even when a young
-- table has no statistics.
CREATE FUNCTION ledger.holders_of_accounts(account_ids uuid[])
RETURNS TABLE (account_id uuid, holder bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off
AS $$
#variable_conflict use_column
DECLARE
    free constant uuid[] := ARRAY(
        SELECT a.account_id
        FROM (SELECT DISTINCT i.id FROM unnest(account_ids) i (id)) wanted
        JOIN ledger.account a
          ON a.shard = ledger.shard_of(wanted.id) AND a.account_id = wanted.id
        ORDER BY a.shard, a.account_id FOR NO KEY UPDATE OF a SKIP LOCKED);
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    RETURN QUERY
    SELECT a.account_id, a.xmax::text::bigint
    FROM (SELECT DISTINCT i.id FROM unnest(account_ids) i (id)) wanted
    JOIN ledger.account a
      ON a.shard = ledger.shard_of(wanted.id) AND a.account_id = wanted.id
    WHERE a.account_id <> ALL (free);
END $$;
RESET ROLE;
REVOKE ALL ON FUNCTION ledger.holders_of_accounts(uuid[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ledger.holders_of_accounts(uuid[]) TO bp_payments, bp_transfers;

-- migrate:down
DROP FUNCTION ledger.holders_of_accounts(uuid[]);
