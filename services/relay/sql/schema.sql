-- Schema outbox of database bp_write as the migrations of services/relay make it. `make gen` writes
-- this file and `make check` compares it; nothing runs it. Each function is in functions/. The
-- partitions that hold one month are left out; a function makes them.

CREATE SCHEMA outbox;
ALTER SCHEMA outbox OWNER TO outbox_owner;

-- One event of a group: the arguments of outbox.append without its topic.
CREATE TYPE outbox.draft AS (
    key uuid,
    event_id uuid,
    event_type text,
    subject uuid,
    payload bytea,
    traceparent text,
    positions ledger.posted[]
);
ALTER TYPE outbox.draft OWNER TO outbox_owner;

GRANT USAGE ON SCHEMA outbox TO bp_relay;
GRANT USAGE ON SCHEMA outbox TO bp_judge;
GRANT USAGE ON SCHEMA outbox TO payments_owner;
GRANT USAGE ON SCHEMA outbox TO transfers_owner;

ALTER DEFAULT PRIVILEGES FOR ROLE outbox_owner IN SCHEMA outbox GRANT SELECT ON TABLES TO bp_judge;

-- Events that wait for the relay. id is drawn after the writer locked the row that key names, so
-- for one key the order of ids is the order of commits. The relay deletes what it has published.
CREATE TABLE outbox.event (
    id bigint NOT NULL,
    topic text NOT NULL,
    key uuid NOT NULL,
    event_id uuid NOT NULL,
    event_type text NOT NULL,
    subject uuid NOT NULL,
    payload bytea NOT NULL,
    traceparent text,
    positions ledger.posted[] NOT NULL,
    create_time timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT event_event_id_check CHECK ((uuid_extract_version(event_id) = 7)),
    CONSTRAINT event_event_type_check CHECK ((event_type <> ''::text)),
    CONSTRAINT event_payload_check CHECK ((octet_length(payload) <= 262144)),
    CONSTRAINT event_topic_check CHECK ((topic ~ '^[a-z][a-z0-9.-]{0,100}$'::text)),
    CONSTRAINT event_traceparent_check CHECK ((octet_length(traceparent) <= 64))
)
WITH (autovacuum_vacuum_scale_factor='0.0', autovacuum_vacuum_threshold='5000',
    autovacuum_vacuum_cost_delay='0');
ALTER TABLE outbox.event OWNER TO outbox_owner;

ALTER TABLE outbox.event ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME outbox.event_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

ALTER TABLE ONLY outbox.event
    ADD CONSTRAINT event_pkey PRIMARY KEY (id);

GRANT SELECT ON TABLE outbox.event TO bp_judge;

-- The session of the active relay: a random name, its process id and its start. When it has ended,
-- any relay may take over. One row.
CREATE TABLE outbox.leader (
    only_row boolean DEFAULT true NOT NULL,
    session uuid NOT NULL,
    pid integer NOT NULL,
    start_time timestamp with time zone NOT NULL,
    CONSTRAINT leader_only_row_check CHECK (only_row)
);
ALTER TABLE outbox.leader OWNER TO outbox_owner;

ALTER TABLE ONLY outbox.leader
    ADD CONSTRAINT leader_pkey PRIMARY KEY (only_row);

GRANT SELECT ON TABLE outbox.leader TO bp_judge;

-- Events that Kafka or the mapping refuses for good, with the reason, until an operator acts.
CREATE TABLE outbox.parked (
    id bigint CONSTRAINT event_id_not_null NOT NULL,
    topic text CONSTRAINT event_topic_not_null NOT NULL,
    key uuid CONSTRAINT event_key_not_null NOT NULL,
    event_id uuid CONSTRAINT event_event_id_not_null NOT NULL,
    event_type text CONSTRAINT event_event_type_not_null NOT NULL,
    subject uuid CONSTRAINT event_subject_not_null NOT NULL,
    payload bytea CONSTRAINT event_payload_not_null NOT NULL,
    traceparent text,
    positions ledger.posted[] CONSTRAINT event_positions_not_null NOT NULL,
    create_time timestamp with time zone CONSTRAINT event_create_time_not_null NOT NULL,
    reason text NOT NULL,
    park_time timestamp with time zone DEFAULT now() NOT NULL
);
ALTER TABLE outbox.parked OWNER TO outbox_owner;

ALTER TABLE ONLY outbox.parked
    ADD CONSTRAINT parked_pkey PRIMARY KEY (id);

GRANT SELECT ON TABLE outbox.parked TO bp_judge;

-- Where each event is in Kafka, for 60 days: longer than Kafka keeps its topics, because the judge
-- compares both. Monthly partitions: event_id is a UUIDv7, so a range of ids is a range of time.
CREATE TABLE outbox.published (
    event_id uuid NOT NULL,
    topic text NOT NULL,
    partition integer NOT NULL,
    kafka_offset bigint NOT NULL,
    subject uuid NOT NULL,
    publish_time timestamp with time zone DEFAULT clock_timestamp() NOT NULL
)
PARTITION BY RANGE (event_id);
ALTER TABLE outbox.published OWNER TO outbox_owner;

ALTER TABLE ONLY outbox.published
    ADD CONSTRAINT published_pkey PRIMARY KEY (event_id);

-- For the events of one transfer.
CREATE INDEX published_by_subject ON ONLY outbox.published USING btree (subject);

GRANT SELECT ON TABLE outbox.published TO bp_judge;

-- Whether a relay of the previous version waits for a notice. One row, unlogged.
CREATE UNLOGGED TABLE outbox.relay_state (
    only_row boolean DEFAULT true NOT NULL,
    asleep boolean NOT NULL,
    CONSTRAINT relay_state_only_row_check CHECK (only_row)
)
WITH (fillfactor='10');
ALTER TABLE outbox.relay_state OWNER TO outbox_owner;

ALTER TABLE ONLY outbox.relay_state
    ADD CONSTRAINT relay_state_pkey PRIMARY KEY (only_row);

GRANT SELECT ON TABLE outbox.relay_state TO bp_judge;

-- functions/append.sql, owned by outbox_owner
GRANT EXECUTE ON FUNCTION outbox.append(text, uuid, uuid, text, uuid, bytea, text, ledger.posted[])
    TO payments_owner, transfers_owner;

-- functions/append_group.sql, owned by outbox_owner
GRANT EXECUTE ON FUNCTION outbox.append_group(text, outbox.draft[]) TO payments_owner,
    transfers_owner;

-- functions/backlog.sql, owned by outbox_owner
GRANT EXECUTE ON FUNCTION outbox.backlog() TO bp_relay;

-- functions/drop_published.sql, owned by outbox_owner
GRANT EXECUTE ON FUNCTION outbox.drop_published() TO bp_relay;

-- functions/ensure_partitions.sql, owned by outbox_owner
GRANT EXECUTE ON FUNCTION outbox.ensure_partitions(integer, timestamp with time zone) TO bp_relay;

-- functions/is_connected.sql, owned by outbox_owner
-- Only its owner may execute outbox.is_connected(integer, timestamp with time zone).

-- functions/mark_published.sql, owned by outbox_owner
GRANT EXECUTE ON FUNCTION outbox.mark_published(bigint[], integer[], bigint[]) TO bp_relay;

-- functions/next_batch.sql, owned by outbox_owner
GRANT EXECUTE ON FUNCTION outbox.next_batch(integer, text[]) TO bp_relay;

-- functions/park.sql, owned by outbox_owner
GRANT EXECUTE ON FUNCTION outbox.park(bigint, text) TO bp_relay;

-- functions/set_asleep.sql, owned by outbox_owner
GRANT EXECUTE ON FUNCTION outbox.set_asleep(boolean) TO bp_relay;

-- functions/try_lead.sql, owned by outbox_owner
GRANT EXECUTE ON FUNCTION outbox.try_lead() TO bp_relay;

-- functions/unpark.sql, owned by outbox_owner
-- Only its owner may execute outbox.unpark(bigint).
