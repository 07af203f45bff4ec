-- Makes the caller's session the active relay, and returns whether it is. The session leads until
-- it ends; then the next caller takes over. A row names the session, because any login could take
-- an advisory lock and so stop the relay. The setting outbox.session makes a repeated call cheap.
CREATE OR REPLACE FUNCTION outbox.try_lead() RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    leader record;
    fresh constant uuid := gen_random_uuid();
BEGIN
    SELECT l.session, l.pid, l.start_time INTO STRICT leader FROM outbox.leader l;
    IF leader.session::text = current_setting('outbox.session', true) THEN
        RETURN true;
    END IF;
    IF outbox.is_connected(leader.pid, leader.start_time) THEN
        RETURN false;
    END IF;
    SELECT l.pid, l.start_time INTO STRICT leader FROM outbox.leader l FOR UPDATE;
    -- Without this, PostgreSQL would show the sessions of the time before the lock.
    PERFORM pg_stat_clear_snapshot();
    IF outbox.is_connected(leader.pid, leader.start_time) THEN
        RETURN false;
    END IF;
    UPDATE outbox.leader l
    SET session = fresh, pid = a.pid, start_time = a.backend_start
    FROM pg_stat_get_activity(pg_backend_pid()) a;
    PERFORM set_config('outbox.session', fresh::text, false);
    RETURN true;
END $$;
