-- migrate:up

-- Published events are kept for 60 days. Kafka keeps its topics for a week, and the judge compares
-- the two.

COMMENT ON TABLE outbox.published IS
    'Where each event is in Kafka, for 60 days: longer than Kafka keeps its topics, because the '
    'judge compares both. Monthly partitions: event_id is a UUIDv7, so a range of ids is a range '
    'of time.';

SET ROLE outbox_owner;

-- Drops the published events of months that ended more than 60 days ago, and returns how many
-- months it dropped. Months from which an event still waits or is parked are kept, because it is
-- published into its month. The relay calls it daily.
CREATE FUNCTION outbox.drop_published() RETURNS integer
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT chassis.drop_months('outbox.published', greatest(interval '60 days', (
        -- An event's id may be 27 days older than its row.
        SELECT now() - min(e.create_time) + interval '27 days'
        FROM (SELECT create_time FROM outbox.event
              UNION ALL SELECT create_time FROM outbox.parked) e)))
$$;

GRANT EXECUTE ON FUNCTION outbox.drop_published() TO bp_relay;

RESET ROLE;

-- migrate:down
-- Older migrations drop the tables, so this one refuses while there is something to lose.
DO $$
BEGIN
    IF EXISTS (SELECT FROM outbox.event) OR EXISTS (SELECT FROM outbox.parked) THEN
        RAISE EXCEPTION 'schema outbox holds events that are not published'
            USING ERRCODE = 'object_in_use', HINT = 'Let the relay publish them first.';
    END IF;
END $$;
DROP FUNCTION outbox.drop_published();
