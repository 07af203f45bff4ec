-- Locks chains until the transaction ends, in a fixed order, which prevents deadlocks. Only the
-- service may execute it; any login could take an advisory lock. Processes of the previous version
-- still take advisory locks, so it waits for theirs; the next version need not.
CREATE OR REPLACE FUNCTION audit.lock_chains(chains integer[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    one integer;
BEGIN
    FOR one IN SELECT DISTINCT c FROM unnest(chains) c ORDER BY c LOOP
        PERFORM FROM audit.chain_lock l WHERE l.chain = one FOR UPDATE;
        IF NOT FOUND THEN
            INSERT INTO audit.chain_lock (chain) VALUES (one) ON CONFLICT DO NOTHING;
            PERFORM FROM audit.chain_lock l WHERE l.chain = one FOR UPDATE;
        END IF;
        IF NOT pg_try_advisory_xact_lock(20310, one)
            AND audit.previous_version_holds(20310, one)
        THEN
            PERFORM pg_advisory_xact_lock(20310, one);
        END IF;
    END LOOP;
END $$;
