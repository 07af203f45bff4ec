-- Makes the missing partitions of this month and of the months ahead. The service calls it daily.
-- When rows of a month are already in the default partition, that month gets no partition and its
-- rows stay there.
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
