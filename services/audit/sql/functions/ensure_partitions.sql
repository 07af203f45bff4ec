-- Makes the missing monthly partitions of audit.record, from the month before `since` to
-- `months_ahead` after it, and returns how many it made. A month whose records are already in
-- record_other gets none. The service calls it daily.
CREATE OR REPLACE FUNCTION audit.ensure_partitions(
    months_ahead integer DEFAULT 3, since timestamptz DEFAULT now()
) RETURNS integer
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT chassis.ensure_months(
        'audit.record', months_ahead, since, 'audit.finish_partition')
$$;
