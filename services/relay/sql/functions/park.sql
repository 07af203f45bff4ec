-- Moves an event that can never be published to outbox.parked, so that the others need not wait
-- for it.
CREATE OR REPLACE FUNCTION outbox.park(event bigint, reason text) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    WITH gone AS (
        DELETE FROM outbox.event e WHERE e.id = park.event
        RETURNING e.id, e.topic, e.key, e.event_id, e.event_type, e.subject, e.payload,
            e.traceparent, e.positions, e.create_time
    )
    INSERT INTO outbox.parked (id, topic, key, event_id, event_type, subject, payload,
        traceparent, positions, create_time, reason)
    SELECT g.id, g.topic, g.key, g.event_id, g.event_type, g.subject, g.payload, g.traceparent,
        g.positions, g.create_time, left(park.reason, 500)
    FROM gone g
$$;
