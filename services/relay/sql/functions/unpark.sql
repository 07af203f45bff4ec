-- Moves a parked event back to its old place in the queue. It is for operators and granted to no
-- role.
CREATE OR REPLACE FUNCTION outbox.unpark(event bigint) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    WITH gone AS (
        DELETE FROM outbox.parked p WHERE p.id = unpark.event
        RETURNING p.id, p.topic, p.key, p.event_id, p.event_type, p.subject, p.payload,
            p.traceparent, p.positions, p.create_time
    )
    INSERT INTO outbox.event (id, topic, key, event_id, event_type, subject, payload,
        traceparent, positions, create_time)
    OVERRIDING SYSTEM VALUE
    SELECT g.id, g.topic, g.key, g.event_id, g.event_type, g.subject, g.payload, g.traceparent,
        g.positions, g.create_time
    FROM gone g
$$;
