-- migrate:up

-- Partitions by the functions that all databases share.

SET ROLE notif_owner;

DROP FUNCTION notif.ensure_partitions(integer);

-- Makes the missing monthly partitions of the two tables, from the month before `since` to
-- `months_ahead` after it, and returns how many it made. A month whose rows are already in a
-- default partition gets none. The service calls it daily.
CREATE FUNCTION notif.ensure_partitions(
    months_ahead integer DEFAULT 3, since timestamptz DEFAULT now()
) RETURNS integer
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT chassis.ensure_months('notif.delivery', months_ahead, since)
        + chassis.ensure_months('notif.notification', months_ahead, since)
$$;

GRANT EXECUTE ON FUNCTION notif.ensure_partitions(integer, timestamptz) TO bp_notifications;

DROP FUNCTION notif.id_floor(timestamptz);

RESET ROLE;

-- migrate:down
SET ROLE notif_owner;
CREATE FUNCTION notif.id_floor(instant timestamptz) RETURNS uuid
LANGUAGE sql IMMUTABLE STRICT
AS $$
    SELECT (lpad(to_hex(floor(extract(epoch FROM instant) * 1000)::bigint), 12, '0')
            || repeat('0', 20))::uuid
$$;
DROP FUNCTION notif.ensure_partitions(integer, timestamptz);
CREATE OR REPLACE FUNCTION notif.ensure_partitions(months_ahead integer) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, notif AS $$
DECLARE
    parent text;
    beginning timestamptz;
    low uuid;
    high uuid;
    strays boolean;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('notif.ensure_partitions'));
    FOR month IN 0..months_ahead LOOP
        beginning := date_trunc('month', now(), 'UTC') + make_interval(months => month);
        low := notif.id_floor(beginning);
        high := notif.id_floor(beginning + interval '1 month');
        FOREACH parent IN ARRAY ARRAY['notification', 'delivery'] LOOP
            CONTINUE WHEN to_regclass(
                format('notif.%s_%s', parent, to_char(beginning AT TIME ZONE 'UTC', 'YYYY_MM'))
            ) IS NOT NULL;
            EXECUTE format(
                'SELECT EXISTS (SELECT FROM notif.%s_other'
                ' WHERE notification_id >= %L AND notification_id < %L)', parent, low, high
            ) INTO strays;
            CONTINUE WHEN strays;
            EXECUTE format(
                'CREATE TABLE notif.%s_%s PARTITION OF notif.%s FOR VALUES FROM (%L) TO (%L)',
                parent, to_char(beginning AT TIME ZONE 'UTC', 'YYYY_MM'), parent, low, high);
        END LOOP;
    END LOOP;
END $$;
GRANT EXECUTE ON FUNCTION notif.ensure_partitions(integer) TO bp_notifications;
RESET ROLE;
