-- Returns the oldest waiting events in order, without those of `except_topics`, the topics that
-- Kafka does not know at the moment. A session that is not the active relay gets none, whichever
-- version of the relay it runs, so two relays never publish at the same time.
CREATE OR REPLACE FUNCTION outbox.next_batch(rows_max integer, except_topics text[] DEFAULT '{}')
RETURNS SETOF outbox.event
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT outbox.try_lead() THEN
        RETURN;
    END IF;
    RETURN QUERY
    SELECT e.id, e.topic, e.key, e.event_id, e.event_type, e.subject, e.payload, e.traceparent,
        e.positions, e.create_time
    FROM outbox.event e
    WHERE e.topic <> ALL (except_topics)
    ORDER BY e.id LIMIT rows_max;
END $$;
