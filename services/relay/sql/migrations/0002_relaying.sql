-- migrate:up

-- What the relay may do with the queue: read its head, mark, park, say that it sleeps.

SET ROLE outbox_owner;

-- The oldest waiting events, in order, but those of topics that Kafka does not know now.
CREATE FUNCTION outbox.next_batch(rows_max integer, except_topics text[] DEFAULT '{}')
RETURNS SETOF outbox.event
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT e.id, e.topic, e.key, e.event_id, e.event_type, e.subject, e.payload, e.traceparent,
        e.positions, e.create_time
    FROM outbox.event e
    WHERE e.topic <> ALL (except_topics)
    ORDER BY e.id LIMIT rows_max
$$;

-- Moves acknowledged events from the queue to the record of what was published, in one
-- statement. Returns how many it moved.
CREATE FUNCTION outbox.mark_published(ids bigint[], partitions integer[], kafka_offsets bigint[])
RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    WITH acknowledged AS (
        SELECT a.id, a.partition, a.kafka_offset
        FROM unnest(ids, partitions, kafka_offsets) a (id, partition, kafka_offset)
    ), gone AS (
        DELETE FROM outbox.event e WHERE e.id = ANY (ids)
        RETURNING e.id, e.event_id, e.topic, e.subject
    ), kept AS (
        INSERT INTO outbox.published (event_id, topic, partition, kafka_offset, subject)
        SELECT g.event_id, g.topic, a.partition, a.kafka_offset, g.subject
        FROM gone g JOIN acknowledged a USING (id)
        ON CONFLICT (event_id) DO NOTHING
    )
    SELECT count(*) FROM gone
$$;

-- Takes an event that can never be published out of the way of the others.
CREATE FUNCTION outbox.park(event bigint, reason text) RETURNS void
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

-- Puts a parked event back at its old place; an operator's act, granted to nobody.
CREATE FUNCTION outbox.unpark(event bigint) RETURNS void
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

-- Says whether the relay waits for a notice (true) or polls anyway (false).
CREATE FUNCTION outbox.set_asleep(asleep boolean) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    INSERT INTO outbox.relay_state AS s (asleep) VALUES (set_asleep.asleep)
    ON CONFLICT (only_row) DO UPDATE SET asleep = excluded.asleep
$$;

-- How far the relay is behind: waiting events (counted up to 100,000), the oldest one's age in
-- seconds, and parked events.
CREATE FUNCTION outbox.backlog(
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

GRANT EXECUTE ON FUNCTION outbox.next_batch(integer, text[]),
    outbox.mark_published(bigint[], integer[], bigint[]), outbox.park(bigint, text),
    outbox.set_asleep(boolean), outbox.backlog() TO bp_relay;
GRANT EXECUTE ON FUNCTION outbox.backlog() TO bp_judge;

RESET ROLE;

-- migrate:down
DROP FUNCTION outbox.backlog, outbox.set_asleep, outbox.unpark, outbox.park,
    outbox.mark_published, outbox.next_batch;
