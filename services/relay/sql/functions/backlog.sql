-- Returns how far the relay is behind: the number of waiting events (counted up to 100,000), the
-- age of the oldest in seconds, and the number of parked events.
CREATE OR REPLACE FUNCTION outbox.backlog(
    OUT waiting bigint, OUT oldest_age_s double precision, OUT parked bigint
)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT
        (SELECT count(*) FROM (SELECT FROM outbox.event LIMIT 100000) AS counted),
        coalesce((SELECT greatest(extract(epoch FROM clock_timestamp() - e.create_time), 0)
                  FROM outbox.event e ORDER BY e.id LIMIT 1), 0)::double precision,
        (SELECT count(*) FROM outbox.parked)
$$;
