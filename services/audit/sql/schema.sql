-- Schema audit of database bp_audit as the migrations of services/audit make it. `make gen` writes
-- this file and `make check` compares it; nothing runs it. Each function is in functions/. The
-- partitions that hold one month are left out; a function makes them.

CREATE SCHEMA audit;
ALTER SCHEMA audit OWNER TO audit_owner;

GRANT USAGE ON SCHEMA audit TO bp_audit;
GRANT USAGE ON SCHEMA audit TO bp_judge;

-- One row for each chain; a process that appends to the chain locks it.
CREATE TABLE audit.chain_lock (
    chain integer NOT NULL
);
ALTER TABLE audit.chain_lock OWNER TO audit_owner;

ALTER TABLE ONLY audit.chain_lock
    ADD CONSTRAINT chain_lock_pkey PRIMARY KEY (chain);

-- One link of a chain; a chain is a partition of the topic audit-logs. Monthly partitions: event_id
-- is a UUIDv7, so a range of ids is a range of time, and event_id is unique over all of them.
-- services/audit/chain.py says what hash covers, under the number in hash_version; a new column
-- takes a new number.
CREATE TABLE audit.record (
    chain smallint NOT NULL,
    sequence bigint NOT NULL,
    event_id uuid NOT NULL,
    event_type text NOT NULL,
    source_topic text NOT NULL,
    source_partition integer NOT NULL,
    source_offset bigint NOT NULL,
    subject text NOT NULL,
    occur_time timestamp with time zone NOT NULL,
    log_offset bigint NOT NULL,
    record_time timestamp with time zone NOT NULL,
    hash_version smallint NOT NULL,
    previous_hash bytea NOT NULL,
    hash bytea NOT NULL,
    payload bytea NOT NULL,
    CONSTRAINT record_chain_check CHECK ((chain >= 0)),
    CONSTRAINT record_chain_exists CHECK ((chain < 12)),
    CONSTRAINT record_hash_check CHECK ((length(hash) = 32)),
    CONSTRAINT record_previous_hash_check CHECK ((length(previous_hash) = 32)),
    CONSTRAINT record_sequence_check CHECK ((sequence > 0))
)
PARTITION BY RANGE (event_id);
ALTER TABLE audit.record OWNER TO audit_owner;

ALTER TABLE ONLY audit.record ATTACH PARTITION audit.record_other DEFAULT;

ALTER TABLE ONLY audit.record
    ADD CONSTRAINT record_pkey PRIMARY KEY (event_id);

-- For the records of one subject, in order.
CREATE INDEX record_subject ON ONLY audit.record USING btree (subject, chain, sequence);

CREATE TRIGGER append_only BEFORE DELETE OR UPDATE ON audit.record FOR EACH ROW EXECUTE FUNCTION
    audit.refuse();

CREATE TRIGGER append_only_whole BEFORE TRUNCATE ON audit.record FOR EACH STATEMENT EXECUTE FUNCTION
    audit.refuse();

GRANT SELECT,INSERT ON TABLE audit.record TO bp_audit;
GRANT SELECT ON TABLE audit.record TO bp_judge;

-- Records whose month has no partition: the id is not a UUIDv7, or a clock was far off.
CREATE TABLE audit.record_other (
    chain smallint CONSTRAINT record_chain_not_null NOT NULL,
    sequence bigint CONSTRAINT record_sequence_not_null NOT NULL,
    event_id uuid CONSTRAINT record_event_id_not_null NOT NULL,
    event_type text CONSTRAINT record_event_type_not_null NOT NULL,
    source_topic text CONSTRAINT record_source_topic_not_null NOT NULL,
    source_partition integer CONSTRAINT record_source_partition_not_null NOT NULL,
    source_offset bigint CONSTRAINT record_source_offset_not_null NOT NULL,
    subject text CONSTRAINT record_subject_not_null NOT NULL,
    occur_time timestamp with time zone CONSTRAINT record_occur_time_not_null NOT NULL,
    log_offset bigint CONSTRAINT record_log_offset_not_null NOT NULL,
    record_time timestamp with time zone CONSTRAINT record_record_time_not_null NOT NULL,
    hash_version smallint CONSTRAINT record_hash_version_not_null NOT NULL,
    previous_hash bytea CONSTRAINT record_previous_hash_not_null NOT NULL,
    hash bytea CONSTRAINT record_hash_not_null NOT NULL,
    payload bytea CONSTRAINT record_payload_not_null NOT NULL,
    CONSTRAINT record_chain_check CHECK ((chain >= 0)),
    CONSTRAINT record_chain_exists CHECK ((chain < 12)),
    CONSTRAINT record_hash_check CHECK ((length(hash) = 32)),
    CONSTRAINT record_previous_hash_check CHECK ((length(previous_hash) = 32)),
    CONSTRAINT record_sequence_check CHECK ((sequence > 0))
);
ALTER TABLE audit.record_other OWNER TO audit_owner;

ALTER TABLE ONLY audit.record_other
    ADD CONSTRAINT record_other_pkey PRIMARY KEY (event_id);

CREATE UNIQUE INDEX record_other_chain_sequence_idx ON audit.record_other USING btree (chain,
    sequence);

CREATE INDEX record_other_subject_chain_sequence_idx ON audit.record_other USING btree (subject,
    chain, sequence);

CREATE TRIGGER append_only_whole BEFORE TRUNCATE ON audit.record_other FOR EACH STATEMENT EXECUTE
    FUNCTION audit.refuse();

-- Offsets of source topics that repeat an event whose record names another offset. It grows only
-- when the relay sends an event again, which a crash makes it do. services/audit/notes.py says what
-- hash covers. A row without a chain comes from an earlier version.
CREATE TABLE audit.repeated (
    source_topic text NOT NULL,
    source_partition integer NOT NULL,
    source_offset bigint NOT NULL,
    event_id uuid NOT NULL,
    note_time timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    chain smallint,
    sequence bigint,
    log_offset bigint,
    previous_hash bytea,
    hash bytea,
    CONSTRAINT repeated_chain_exists CHECK (((chain >= 0) AND (chain <= 11))),
    CONSTRAINT repeated_chained CHECK ((num_nonnulls(chain, sequence, log_offset, previous_hash,
        hash) = ANY (ARRAY[0, 5])))
);
ALTER TABLE audit.repeated OWNER TO audit_owner;

ALTER TABLE ONLY audit.repeated
    ADD CONSTRAINT repeated_pkey PRIMARY KEY (source_topic, source_partition, source_offset,
        event_id);

-- For the notes of one chain, in order.
CREATE UNIQUE INDEX repeated_chain ON audit.repeated USING btree (chain, sequence) WHERE (chain IS
    NOT NULL);

CREATE TRIGGER append_only BEFORE DELETE OR UPDATE ON audit.repeated FOR EACH ROW EXECUTE FUNCTION
    audit.refuse();

CREATE TRIGGER append_only_whole BEFORE TRUNCATE ON audit.repeated FOR EACH STATEMENT EXECUTE
    FUNCTION audit.refuse();

GRANT SELECT,INSERT ON TABLE audit.repeated TO bp_audit;
GRANT SELECT ON TABLE audit.repeated TO bp_judge;

-- One row; a process that signs heads locks it.
CREATE TABLE audit.signing_lock (
    only_row boolean DEFAULT true NOT NULL,
    CONSTRAINT signing_lock_only_row_check CHECK (only_row)
);
ALTER TABLE audit.signing_lock OWNER TO audit_owner;

ALTER TABLE ONLY audit.signing_lock
    ADD CONSTRAINT signing_lock_pkey PRIMARY KEY (only_row);

-- functions/ensure_partitions.sql, owned by audit_owner
GRANT EXECUTE ON FUNCTION audit.ensure_partitions(integer, timestamp with time zone) TO bp_audit;

-- functions/finish_partition.sql, owned by audit_owner
-- Only its owner may execute audit.finish_partition(regclass).

-- functions/lock_chains.sql, owned by audit_owner
GRANT EXECUTE ON FUNCTION audit.lock_chains(integer[]) TO bp_audit;

-- functions/previous_version_holds.sql, owned by audit_owner
-- Only its owner may execute audit.previous_version_holds(integer, integer).

-- functions/refuse.sql, owned by audit_owner
-- Only its owner may execute audit.refuse().

-- functions/try_lock_signing.sql, owned by audit_owner
GRANT EXECUTE ON FUNCTION audit.try_lock_signing() TO bp_audit;
