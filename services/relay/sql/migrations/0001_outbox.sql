-- migrate:up

-- The outbox: events wait in outbox.event beside the change that caused them, and leave for
-- outbox.published once Kafka has acknowledged them. A queue by deletion, never by watermark: a
-- row that commits late is found like any other.

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'outbox_owner') THEN
        CREATE ROLE outbox_owner NOLOGIN;
    END IF;
END $$;

CREATE SCHEMA outbox AUTHORIZATION outbox_owner;
REVOKE ALL ON SCHEMA outbox FROM PUBLIC;
GRANT USAGE ON SCHEMA outbox TO bp_payments, bp_transfers, bp_relay, bp_judge;
GRANT USAGE ON SCHEMA ledger TO outbox_owner;
GRANT EXECUTE ON FUNCTION ledger.id_floor(timestamptz) TO outbox_owner;

SET ROLE outbox_owner;

ALTER DEFAULT PRIVILEGES FOR ROLE outbox_owner REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
ALTER DEFAULT PRIVILEGES FOR ROLE outbox_owner IN SCHEMA outbox GRANT SELECT ON TABLES TO bp_judge;

-- Waiting events. `id` is drawn after the caller has locked the row that `key` names, so the
-- order of ids is the order of commits for one key.
CREATE TABLE outbox.event (
    id          bigint GENERATED ALWAYS AS IDENTITY (CACHE 1) PRIMARY KEY,
    topic       text NOT NULL CHECK (topic ~ '^[a-z][a-z0-9.-]{0,100}$'),
    key         uuid NOT NULL,
    event_id    uuid NOT NULL CHECK (uuid_extract_version(event_id) = 7),
    event_type  text NOT NULL CHECK (event_type <> ''),
    subject     uuid NOT NULL,
    payload     bytea NOT NULL CHECK (octet_length(payload) <= 262144),
    traceparent text CHECK (octet_length(traceparent) <= 64),
    positions   ledger.posted[] NOT NULL,
    create_time timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_cost_delay = 0);

-- Where each event went. The id is a UUIDv7, so ranges of ids are ranges of time.
CREATE TABLE outbox.published (
    event_id     uuid NOT NULL,
    topic        text NOT NULL,
    partition    integer NOT NULL,
    kafka_offset bigint NOT NULL,
    subject      uuid NOT NULL,
    publish_time timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (event_id)
) PARTITION BY RANGE (event_id);

CREATE INDEX published_by_subject ON outbox.published (subject);

-- Events that Kafka or the mapping refuses for good, with the reason, until an operator acts.
CREATE TABLE outbox.parked (
    LIKE outbox.event, reason text NOT NULL, park_time timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (id)
);

-- Whether the relay waits for a notice. One row, unlogged: after a crash it is gone, which
-- reads as asleep and costs notices, never an event.
CREATE UNLOGGED TABLE outbox.relay_state (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    asleep   boolean NOT NULL
) WITH (fillfactor = 10);

-- Puts an event beside the change that caused it; to be called in that change's transaction,
-- after it has locked the row that `key` names. A notice is sent only to a sleeping relay:
-- NOTIFY takes a lock of the whole cluster until commit and would make commits queue up.
CREATE FUNCTION outbox.append(
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

GRANT EXECUTE ON FUNCTION outbox.append(text, uuid, uuid, text, uuid, bytea, text, ledger.posted[])
    TO bp_payments, bp_transfers;

-- Makes the monthly partitions of outbox.published from last month to `months_ahead`.
CREATE FUNCTION outbox.ensure_partitions(
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

SELECT outbox.ensure_partitions();

GRANT EXECUTE ON FUNCTION outbox.ensure_partitions(integer, timestamptz) TO bp_relay;

RESET ROLE;

-- migrate:down
DROP SCHEMA outbox CASCADE;
