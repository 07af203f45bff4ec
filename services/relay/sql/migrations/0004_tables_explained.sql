-- migrate:up

-- Says in the catalog what each table, index and type is for; schema.sql shows it. outbox.append
-- changes in a comment only.

COMMENT ON TYPE outbox.draft IS
    'One event of a group: the arguments of outbox.append without its topic.';

COMMENT ON TABLE outbox.event IS
    'Events that wait for the relay. id is drawn after the writer locked the row that key names, '
    'so for one key the order of ids is the order of commits. The relay deletes what it has '
    'published.';

COMMENT ON TABLE outbox.parked IS
    'Events that Kafka or the mapping refuses for good, with the reason, until an operator acts.';

COMMENT ON TABLE outbox.published IS
    'Where each event is in Kafka. Monthly partitions: event_id is a UUIDv7, so a range of ids is'
    ' a range of time.';
COMMENT ON INDEX outbox.published_by_subject IS
    'For the events of one transfer.';

COMMENT ON TABLE outbox.relay_state IS
    'Whether the relay waits for a notice. One row, unlogged: after a crash it is gone, which '
    'reads as asleep and costs a few notices, never an event.';

-- Writes an event beside the change that caused it. Call it in the transaction of that change,
-- after the row that `key` names is locked. It notifies the relay only while the relay sleeps:
-- NOTIFY takes a lock of the whole cluster until commit and would make commits wait for each
-- other.
CREATE OR REPLACE FUNCTION outbox.append(
    topic text, key uuid, event_id uuid, event_type text, subject uuid, payload bytea,
    traceparent text DEFAULT NULL, positions ledger.posted[] DEFAULT '{}'
) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    drawn bigint;
    age constant interval := clock_timestamp() - uuid_extract_timestamp(event_id);
BEGIN
    -- Such an id has no partition in outbox.published: the relay would publish it for ever.
    IF age IS NULL OR age NOT BETWEEN interval '-1 day' AND interval '27 days' THEN
        RAISE EXCEPTION 'event id % is not a UUIDv7 of the last 27 days', event_id
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    INSERT INTO outbox.event
        (topic, key, event_id, event_type, subject, payload, traceparent, positions)
    VALUES (append.topic, append.key, append.event_id, append.event_type, append.subject,
        append.payload, append.traceparent, coalesce(append.positions, '{}'))
    RETURNING id INTO drawn;
    IF (SELECT coalesce(bool_and(asleep), true) FROM outbox.relay_state) THEN
        PERFORM pg_notify('outbox', '');
    END IF;
    RETURN drawn;
END $$;

-- migrate:down
CREATE OR REPLACE FUNCTION outbox.append(
    topic text, key uuid, event_id uuid, event_type text, subject uuid, payload bytea,
    traceparent text DEFAULT NULL, positions ledger.posted[] DEFAULT '{}'
) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    drawn bigint;
    age constant interval := clock_timestamp() - uuid_extract_timestamp(event_id);
BEGIN
    -- Such an id would be published and then have no partition to be recorded in: for ever again.
    IF age IS NULL OR age NOT BETWEEN interval '-1 day' AND interval '27 days' THEN
        RAISE EXCEPTION 'event id % is not a UUIDv7 of the last 27 days', event_id
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    INSERT INTO outbox.event
        (topic, key, event_id, event_type, subject, payload, traceparent, positions)
    VALUES (append.topic, append.key, append.event_id, append.event_type, append.subject,
        append.payload, append.traceparent, coalesce(append.positions, '{}'))
    RETURNING id INTO drawn;
    IF (SELECT coalesce(bool_and(asleep), true) FROM outbox.relay_state) THEN
        PERFORM pg_notify('outbox', '');
    END IF;
    RETURN drawn;
END $$;

COMMENT ON TYPE outbox.draft IS NULL;
COMMENT ON TABLE outbox.event IS NULL;
COMMENT ON TABLE outbox.parked IS NULL;
COMMENT ON TABLE outbox.published IS NULL;
COMMENT ON INDEX outbox.published_by_subject IS NULL;
COMMENT ON TABLE outbox.relay_state IS NULL;
