-- Locks the signing of heads until the transaction ends; returns false if another process holds the
-- lock. As lock_chains, it also respects the advisory lock of a process of the previous version.
CREATE OR REPLACE FUNCTION audit.try_lock_signing() RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM FROM audit.signing_lock FOR UPDATE SKIP LOCKED;
    RETURN FOUND AND (pg_try_advisory_xact_lock(20311, 0)
        OR NOT audit.previous_version_holds(20311, 0));
END $$;
