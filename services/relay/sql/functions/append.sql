-- Writes an event in addition to the change that caused it. Call it in the transaction of that
-- change, after the row that `key` names is locked. It does not notify the relay, which polls:
-- NOTIFY takes a lock of the whole cluster until commit, and the commit fails while the cluster's
-- queue of notifications is full, which any login can cause.
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
    -- Such an id has no partition in outbox.published: the relay would publish it forever.
    IF age IS NULL OR age NOT BETWEEN interval '-1 day' AND interval '27 days' THEN
        RAISE EXCEPTION 'event id % is not a UUIDv7 of the last 27 days', event_id
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    INSERT INTO outbox.event
        (topic, key, event_id, event_type, subject, payload, traceparent, positions)
    VALUES (append.topic, append.key, append.event_id, append.event_type, append.subject,
        append.payload, append.traceparent, coalesce(append.positions, '{}'))
    RETURNING id INTO drawn;
    RETURN drawn;
END $$;
