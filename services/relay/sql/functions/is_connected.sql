-- Returns whether another session than the caller's still exists, given its process id and its
-- start. A session whose start PostgreSQL does not show counts as existing.
CREATE OR REPLACE FUNCTION outbox.is_connected(pid integer, start_time timestamptz) RETURNS boolean
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT is_connected.pid <> pg_backend_pid() AND EXISTS (
        SELECT FROM pg_stat_get_activity(is_connected.pid) a
        WHERE coalesce(a.backend_start = is_connected.start_time, true))
$$;
