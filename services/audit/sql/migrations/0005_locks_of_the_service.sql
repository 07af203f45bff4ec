-- migrate:up

-- Any login of the database could take the advisory locks of the chains and of the signing, and so
-- stop the log. Rows that no login may lock replace them.

SET ROLE audit_owner;

CREATE TABLE audit.chain_lock (
    chain integer NOT NULL PRIMARY KEY
);
COMMENT ON TABLE audit.chain_lock IS
    'One row for each chain; a process that appends to the chain locks it.';
INSERT INTO audit.chain_lock (chain) SELECT generate_series(0, 11);

CREATE TABLE audit.signing_lock (
    only_row boolean NOT NULL DEFAULT true PRIMARY KEY CHECK (only_row)
);
COMMENT ON TABLE audit.signing_lock IS 'One row; a process that signs heads locks it.';
INSERT INTO audit.signing_lock DEFAULT VALUES;

-- Returns whether a session with the login of the caller's session holds an advisory lock. A lock
-- that another login holds is no lock of the service.
CREATE FUNCTION audit.previous_version_holds(class integer, object integer)
RETURNS boolean
LANGUAGE sql SET search_path = pg_catalog, pg_temp
AS $$
    SELECT EXISTS (
        SELECT FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
        WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2
            AND l.classid = class::oid AND l.objid = object::oid
            AND a.datname = current_database() AND a.usename = session_user)
$$;

-- Locks chains until the transaction ends, in a fixed order, which prevents deadlocks. Only the
-- service may execute it; any login could take an advisory lock. Processes of the previous version
-- still take advisory locks, so it waits for theirs; the next version need not.
CREATE FUNCTION audit.lock_chains(chains integer[]) RETURNS void
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

-- Locks the signing of heads until the transaction ends; returns false if another process holds the
-- lock. As lock_chains, it also respects the advisory lock of a process of the previous version.
CREATE FUNCTION audit.try_lock_signing() RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM FROM audit.signing_lock FOR UPDATE SKIP LOCKED;
    RETURN FOUND AND (pg_try_advisory_xact_lock(20311, 0)
        OR NOT audit.previous_version_holds(20311, 0));
END $$;

GRANT EXECUTE ON FUNCTION audit.lock_chains(integer[]), audit.try_lock_signing() TO bp_audit;

RESET ROLE;

-- migrate:down
DROP FUNCTION audit.try_lock_signing();
DROP FUNCTION audit.lock_chains(integer[]);
DROP FUNCTION audit.previous_version_holds(integer, integer);
DROP TABLE audit.signing_lock;
DROP TABLE audit.chain_lock;
