-- Makes the missing monthly partitions of the two tables, from the month before `since` to
-- `months_ahead` after it, and returns how many it made. The service calls it daily.
CREATE OR REPLACE FUNCTION auth.ensure_partitions(
    months_ahead integer DEFAULT 3, since timestamptz DEFAULT now()
) RETURNS integer
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT chassis.ensure_months('auth.session', months_ahead, since)
        + chassis.ensure_months('auth.event', months_ahead, since)
$$;
