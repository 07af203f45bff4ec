-- migrate:up

-- The active relay is a session that a row names, because any login of the database could take the
-- advisory lock of the previous version and so stop the relay. The judge does not use backlog().

-- squawk-ignore revoked-right
REVOKE EXECUTE ON FUNCTION outbox.backlog() FROM bp_judge;

-- To see whether the session of another login still exists.
GRANT pg_read_all_stats TO outbox_owner;

SET ROLE outbox_owner;

CREATE TABLE outbox.leader (
    only_row   boolean NOT NULL DEFAULT true PRIMARY KEY CHECK (only_row),
    session    uuid NOT NULL,
    pid        integer NOT NULL,
    start_time timestamptz NOT NULL
);
COMMENT ON TABLE outbox.leader IS
    'The session of the active relay: a random name, its process id and its start. When it has '
    'ended, any relay may take over. One row.';

-- Returns whether another session than the caller's still exists, given its process id and its
-- start. A session whose start PostgreSQL does not show counts as existing.
CREATE FUNCTION outbox.is_connected(pid integer, start_time timestamptz) RETURNS boolean
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT is_connected.pid <> pg_backend_pid() AND EXISTS (
        SELECT FROM pg_stat_get_activity(is_connected.pid) a
        WHERE coalesce(a.backend_start = is_connected.start_time, true))
$$;

-- Makes the caller's session the active relay, and returns whether it is. The session leads until
-- it ends; then the next caller takes over. A row names the session, because any login could take
-- an advisory lock and so stop the relay. The setting outbox.session makes a repeated call cheap.
CREATE FUNCTION outbox.try_lead() RETURNS boolean
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

-- Returns the oldest waiting events in order, without those of `except_topics`, the topics that
-- Kafka does not know at the moment. A session that is not the active relay gets none, whichever
-- version of the relay it runs, so two relays never publish at the same time.
CREATE OR REPLACE FUNCTION outbox.next_batch(rows_max integer, except_topics text[] DEFAULT '{}')
RETURNS SETOF outbox.event
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT outbox.try_lead() THEN
        RETURN;
    END IF;
    RETURN QUERY
    SELECT e.id, e.topic, e.key, e.event_id, e.event_type, e.subject, e.payload, e.traceparent,
        e.positions, e.create_time
    FROM outbox.event e
    WHERE e.topic <> ALL (except_topics)
    ORDER BY e.id LIMIT rows_max;
END $$;

GRANT EXECUTE ON FUNCTION outbox.try_lead() TO bp_relay;

-- The relay that is active during this migration, of the previous version, stays active: it holds
-- the advisory lock of that version.
INSERT INTO outbox.leader (session, pid, start_time)
SELECT gen_random_uuid(), coalesce(max(a.pid), 0), coalesce(max(a.backend_start), '-infinity')
FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid AND a.usename = 'bp_relay'
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
    AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
    AND (l.classid::bigint << 32 | l.objid::bigint) = hashtextextended('outbox.relay', 0);

RESET ROLE;

-- migrate:down
SET ROLE outbox_owner;

-- Returns the oldest waiting events in order, without those of `except_topics`, the topics that
-- Kafka does not know at the moment.
CREATE OR REPLACE FUNCTION outbox.next_batch(rows_max integer, except_topics text[] DEFAULT '{}')
RETURNS SETOF outbox.event
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT e.id, e.topic, e.key, e.event_id, e.event_type, e.subject, e.payload, e.traceparent,
        e.positions, e.create_time
    FROM outbox.event e
    WHERE e.topic <> ALL (except_topics)
    ORDER BY e.id LIMIT rows_max
$$;

DROP FUNCTION outbox.try_lead();
DROP FUNCTION outbox.is_connected(integer, timestamptz);
DROP TABLE outbox.leader;

RESET ROLE;
REVOKE pg_read_all_stats FROM outbox_owner;
GRANT EXECUTE ON FUNCTION outbox.backlog() TO bp_judge;
