-- migrate:up

-- Partitions by the functions that all databases share.

SET ROLE audit_owner;

DROP FUNCTION audit.ensure_partitions(integer);

-- Makes the missing monthly partitions of audit.record, from the month before `since` to
-- `months_ahead` after it, and returns how many it made. A month whose records are already in
-- record_other gets none. The service calls it daily.
CREATE FUNCTION audit.ensure_partitions(
    months_ahead integer DEFAULT 3, since timestamptz DEFAULT now()
) RETURNS integer
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT chassis.ensure_months(
        'audit.record', months_ahead, since, 'audit.finish_partition')
$$;

GRANT EXECUTE ON FUNCTION audit.ensure_partitions(integer, timestamptz) TO bp_audit;

DROP FUNCTION audit.id_floor(timestamptz);

RESET ROLE;

-- migrate:down
SET ROLE audit_owner;
CREATE FUNCTION audit.id_floor(instant timestamptz) RETURNS uuid
LANGUAGE sql IMMUTABLE STRICT
AS $$
    SELECT (lpad(to_hex(floor(extract(epoch FROM instant) * 1000)::bigint), 12, '0')
            || repeat('0', 20))::uuid
$$;
DROP FUNCTION audit.ensure_partitions(integer, timestamptz);
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
GRANT EXECUTE ON FUNCTION audit.ensure_partitions(integer) TO bp_audit;
RESET ROLE;
