-- Drops the published events of months that ended more than 60 days ago, and returns how many
-- months it dropped. It keeps a month while one of its events still waits or is parked, because the
-- event will be written to that month when it is published. The relay calls it daily.
CREATE OR REPLACE FUNCTION outbox.drop_published() RETURNS integer
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT chassis.drop_months('outbox.published', greatest(interval '60 days', (
        -- An event's id may be 27 days older than its row.
        SELECT now() - min(e.create_time) + interval '27 days'
        FROM (SELECT create_time FROM outbox.event
              UNION ALL SELECT create_time FROM outbox.parked) e)))
$$;
