-- Returns the transfers, of those given, whose rows another session has locked. It locks the others
-- only until its statement's transaction ends. The settings make PostgreSQL look up each row by its
-- key, even when a young table has no statistics.
CREATE OR REPLACE FUNCTION payments.held_transfers(transfer_ids uuid[]) RETURNS uuid[]
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off
AS $$
DECLARE
    free constant uuid[] := ARRAY(
        SELECT t.transfer_id
        FROM (SELECT DISTINCT i.id FROM unnest(transfer_ids) i (id)) wanted
        JOIN payments.interbank_transfer t
          ON t.shard = ledger.shard_of(wanted.id) AND t.transfer_id = wanted.id
        ORDER BY t.transfer_id FOR NO KEY UPDATE OF t SKIP LOCKED);
BEGIN
    RETURN ARRAY(
        SELECT t.transfer_id
        FROM (SELECT DISTINCT i.id FROM unnest(transfer_ids) i (id)) wanted
        JOIN payments.interbank_transfer t
          ON t.shard = ledger.shard_of(wanted.id) AND t.transfer_id = wanted.id
        WHERE t.transfer_id <> ALL (free));
END $$;
