-- migrate:up

-- Partitions by the functions that all databases share.

SET ROLE outbox_owner;

-- Makes the missing monthly partitions of outbox.published, from the month before `since` to
-- `months_ahead` after it, and returns how many it made. The relay calls it daily.
CREATE OR REPLACE FUNCTION outbox.ensure_partitions(
    months_ahead integer DEFAULT 3, since timestamptz DEFAULT now()
) RETURNS integer
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT chassis.ensure_months('outbox.published', months_ahead, since)
$$;

-- Writes an event in addition to the change that caused it. Call it in the transaction of that
-- change, after the row that `key` names is locked. It notifies the relay only while the relay
-- sleeps: NOTIFY takes a lock of the whole cluster until commit and would make commits wait for
-- each other.
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

RESET ROLE;

-- migrate:down
SET ROLE outbox_owner;
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
CREATE OR REPLACE FUNCTION outbox.ensure_partitions(
    months_ahead integer DEFAULT 3, since timestamptz DEFAULT now()
) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC'
AS $$
DECLARE
    first_month timestamptz := date_trunc('month', since) - interval '1 month';
    month timestamptz;
    partition text;
    made integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('outbox.ensure_partitions', 0));
    FOR month IN
        SELECT generate_series(
            first_month, first_month + make_interval(months => months_ahead + 1),
            interval '1 month')
    LOOP
        partition := 'published_' || to_char(month, 'YYYY_MM');
        CONTINUE WHEN to_regclass(format('outbox.%I', partition)) IS NOT NULL;
        EXECUTE format('CREATE TABLE outbox.%I (LIKE outbox.published INCLUDING ALL)', partition);
        EXECUTE format('ALTER TABLE outbox.published ATTACH PARTITION outbox.%I '
            'FOR VALUES FROM (%L) TO (%L)', partition, ledger.id_floor(month),
            ledger.id_floor(month + interval '1 month'));
        made := made + 1;
    END LOOP;
    RETURN made;
END $$;
RESET ROLE;
