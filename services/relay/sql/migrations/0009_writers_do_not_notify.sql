-- migrate:up

-- While any login keeps the cluster's queue of notifications full, each commit that notifies fails.
-- So writers do not notify the relay, which polls.

SET ROLE outbox_owner;

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

-- Writes several events in addition to the changes that caused them, in the order given. Call it as
-- outbox.append, after all rows that the keys name are locked.
CREATE OR REPLACE FUNCTION outbox.append_group(topic text, drafts outbox.draft[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    odd uuid;
BEGIN
    SELECT d.event_id INTO odd FROM unnest(drafts) d
    WHERE (clock_timestamp() - uuid_extract_timestamp(d.event_id))
        BETWEEN interval '-1 day' AND interval '27 days' IS NOT TRUE LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'event id % is not a UUIDv7 of the last 27 days', odd
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    INSERT INTO outbox.event
        (topic, key, event_id, event_type, subject, payload, traceparent, positions)
    SELECT append_group.topic, d.key, d.event_id, d.event_type, d.subject, d.payload,
        d.traceparent, coalesce(d.positions, '{}')
    FROM unnest(drafts) d;
END $$;

-- Records whether the relay sleeps. Only a relay of the previous version calls it.
CREATE OR REPLACE FUNCTION outbox.set_asleep(asleep boolean) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    INSERT INTO outbox.relay_state AS s (asleep) VALUES (set_asleep.asleep)
    ON CONFLICT (only_row) DO UPDATE SET asleep = excluded.asleep
$$;

COMMENT ON TABLE outbox.relay_state IS
    'Whether a relay of the previous version waits for a notice. One row, unlogged.';

RESET ROLE;

-- migrate:down
SET ROLE outbox_owner;

COMMENT ON TABLE outbox.relay_state IS
    'Whether the relay waits for a notice. One row, unlogged: after a crash it is gone, which '
    'reads as asleep and costs a few notices, never an event.';
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
    IF (SELECT coalesce(bool_and(asleep), true) FROM outbox.relay_state) THEN
        PERFORM pg_notify('outbox', '');
    END IF;
    RETURN drawn;
END $$;

CREATE OR REPLACE FUNCTION outbox.append_group(topic text, drafts outbox.draft[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    odd uuid;
BEGIN
    SELECT d.event_id INTO odd FROM unnest(drafts) d
    WHERE (clock_timestamp() - uuid_extract_timestamp(d.event_id))
        BETWEEN interval '-1 day' AND interval '27 days' IS NOT TRUE LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'event id % is not a UUIDv7 of the last 27 days', odd
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    INSERT INTO outbox.event
        (topic, key, event_id, event_type, subject, payload, traceparent, positions)
    SELECT append_group.topic, d.key, d.event_id, d.event_type, d.subject, d.payload,
        d.traceparent, coalesce(d.positions, '{}')
    FROM unnest(drafts) d;
    IF FOUND AND (SELECT coalesce(bool_and(asleep), true) FROM outbox.relay_state) THEN
        PERFORM pg_notify('outbox', '');
    END IF;
END $$;

RESET ROLE;
