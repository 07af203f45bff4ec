-- Makes the missing partitions of this month and of the months ahead, and returns how many it
-- made. The service calls it daily. When records of a month are already in record_other, that
-- month gets no partition and its records stay there.
CREATE OR REPLACE FUNCTION audit.ensure_partitions(months_ahead integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, audit AS $$
DECLARE
    beginning timestamptz;
    name text;
    made integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('audit.ensure_partitions'));
    FOR month IN 0..months_ahead LOOP
        beginning := date_trunc('month', now(), 'UTC') + make_interval(months => month);
        name := 'record_' || to_char(beginning AT TIME ZONE 'UTC', 'YYYY_MM');
        CONTINUE WHEN to_regclass('audit.' || name) IS NOT NULL;
        CONTINUE WHEN EXISTS (
            SELECT FROM audit.record_other
            WHERE event_id >= audit.id_floor(beginning)
              AND event_id < audit.id_floor(beginning + interval '1 month'));
        EXECUTE format(
            'CREATE TABLE audit.%I PARTITION OF audit.record FOR VALUES FROM (%L) TO (%L)',
            name, audit.id_floor(beginning), audit.id_floor(beginning + interval '1 month'));
        PERFORM audit.finish_partition(format('audit.%I', name)::regclass);
        made := made + 1;
    END LOOP;
    RETURN made;
END $$;
