-- Makes the missing monthly partitions of the two tables, from the month before `since` to
-- `months_ahead` after it, and returns how many it made. A month whose rows are already in a
-- default partition gets none. The service calls it daily.
CREATE OR REPLACE FUNCTION notif.ensure_partitions(
    months_ahead integer DEFAULT 3, since timestamptz DEFAULT now()
) RETURNS integer
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT chassis.ensure_months('notif.delivery', months_ahead, since)
        + chassis.ensure_months('notif.notification', months_ahead, since)
$$;
