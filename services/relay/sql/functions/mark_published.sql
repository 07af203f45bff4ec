-- Moves acknowledged events from the queue to outbox.published, in one statement, and returns how
-- many it moved.
CREATE OR REPLACE FUNCTION outbox.mark_published(
    ids bigint[], partitions integer[], kafka_offsets bigint[]
)
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
