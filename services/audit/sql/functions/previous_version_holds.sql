-- Returns whether a session with the login of the caller's session holds an advisory lock. A lock
-- that another login holds is no lock of the service.
CREATE OR REPLACE FUNCTION audit.previous_version_holds(class integer, object integer)
RETURNS boolean
LANGUAGE sql SET search_path = pg_catalog, pg_temp
AS $$
    SELECT EXISTS (
        SELECT FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
        WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2
            AND l.classid = class::oid AND l.objid = object::oid
            AND a.datname = current_database() AND a.usename = session_user)
$$;
