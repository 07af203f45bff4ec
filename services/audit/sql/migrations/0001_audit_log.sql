-- migrate:up

-- The immutable log. It belongs to audit_owner, who cannot log in; the service may insert and
-- select, the judge may select, and triggers refuse the rest to whoever has more rights.

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'audit_owner') THEN
        CREATE ROLE audit_owner NOLOGIN;
    END IF;
END $$;

CREATE SCHEMA audit AUTHORIZATION audit_owner;
REVOKE ALL ON SCHEMA audit FROM PUBLIC;
GRANT USAGE ON SCHEMA audit TO bp_audit, bp_judge;

SET ROLE audit_owner;

ALTER DEFAULT PRIVILEGES FOR ROLE audit_owner REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;

-- One link of a chain; a chain is a partition of the topic audit-logs.
-- Event ids are UUIDv7 and begin with their time, so ranges of ids are ranges of time: the table is
-- partitioned by month and yet event_id is unique over all of it. What `hash` covers, and how, is
-- written in services/audit/chain.py under the number in hash_version; a column that is added later
-- takes a new number, so earlier records stay verifiable.
CREATE TABLE audit.record (
    chain            smallint NOT NULL CHECK (chain >= 0),
    sequence         bigint NOT NULL CHECK (sequence > 0),
    event_id         uuid NOT NULL,
    event_type       text NOT NULL,
    source_topic     text NOT NULL,
    source_partition integer NOT NULL,
    source_offset    bigint NOT NULL,
    subject          text NOT NULL,
    occur_time       timestamptz NOT NULL,
    log_offset       bigint NOT NULL,
    record_time      timestamptz NOT NULL,
    hash_version     smallint NOT NULL,
    previous_hash    bytea NOT NULL CHECK (length(previous_hash) = 32),
    hash             bytea NOT NULL CHECK (length(hash) = 32),
    payload          bytea NOT NULL,
    PRIMARY KEY (event_id)
) PARTITION BY RANGE (event_id);

CREATE INDEX record_subject ON audit.record (subject, chain, sequence);

GRANT SELECT, INSERT ON audit.record TO bp_audit;
GRANT SELECT ON audit.record TO bp_judge;

CREATE FUNCTION audit.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit log is append-only: % refused', TG_OP
        USING ERRCODE = 'insufficient_privilege';
END $$;

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON audit.record
    FOR EACH ROW EXECUTE FUNCTION audit.refuse();
CREATE TRIGGER append_only_whole BEFORE TRUNCATE ON audit.record
    FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse();

-- What every partition needs beside what it inherits.
CREATE FUNCTION audit.finish_partition(partition regclass) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE UNIQUE INDEX ON %s (chain, sequence)', partition);
    EXECUTE format(
        'CREATE TRIGGER append_only_whole BEFORE TRUNCATE ON %s '
        'FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse()', partition);
END $$;

-- The smallest UUIDv7 of an instant.
CREATE FUNCTION audit.id_floor(instant timestamptz) RETURNS uuid
LANGUAGE sql IMMUTABLE STRICT
AS $$
    SELECT (lpad(to_hex(floor(extract(epoch FROM instant) * 1000)::bigint), 12, '0')
            || repeat('0', 20))::uuid
$$;

-- Takes ids of months that have no partition (an id that is not version 7, a clock far off).
CREATE TABLE audit.record_other PARTITION OF audit.record DEFAULT;
SELECT audit.finish_partition('audit.record_other');

-- Makes the partitions of this month and of the months ahead, where they are missing. The service
-- calls it daily; a month whose records already went to record_other is left there.
CREATE FUNCTION audit.ensure_partitions(months_ahead integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, audit AS $$
DECLARE
    beginning timestamptz;
    name text;
    made integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('audit.ensure_partitions'));
    FOR month IN 0..months_ahead LOOP
        beginning := date_trunc('month', now(), 'UTC') + make_interval(months => month);
        name := 'record_' || to_char(beginning AT TIME ZONE 'UTC', 'YYYY_MM');
        CONTINUE WHEN to_regclass('audit.' || name) IS NOT NULL;
        CONTINUE WHEN EXISTS (
            SELECT FROM audit.record_other
            WHERE event_id >= audit.id_floor(beginning)
              AND event_id < audit.id_floor(beginning + interval '1 month'));
        EXECUTE format(
            'CREATE TABLE audit.%I PARTITION OF audit.record FOR VALUES FROM (%L) TO (%L)',
            name, audit.id_floor(beginning), audit.id_floor(beginning + interval '1 month'));
        PERFORM audit.finish_partition(format('audit.%I', name)::regclass);
        made := made + 1;
    END LOOP;
    RETURN made;
END $$;
GRANT EXECUTE ON FUNCTION audit.ensure_partitions(integer) TO bp_audit;

SELECT audit.ensure_partitions(3);

RESET ROLE;

-- migrate:down

DROP SCHEMA audit CASCADE;
