-- Drops sessions and events of months that ended more than 60 days ago, and returns how many months
-- it dropped. A session lasts 30 days. Months with an event that is not published are kept. The
-- service calls it daily.
CREATE OR REPLACE FUNCTION auth.drop_old_months() RETURNS integer
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT chassis.drop_months('auth.session', interval '60 days')
        + chassis.drop_months('auth.event', greatest(interval '60 days', (
            -- An event's id may be a day older than its row.
            SELECT now() - min(e.create_time) + interval '1 day'
            FROM auth.event e WHERE e.publish_time IS NULL)))
$$;
