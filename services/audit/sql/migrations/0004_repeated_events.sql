-- migrate:up

-- A source topic may hold an event twice: the relay delivers at least once. The log has one record
-- for it, so the second offset has none. Verification takes an offset without a record for a lost
-- event; this table names the offsets that only repeat one.

SET ROLE audit_owner;

CREATE TABLE audit.repeated (
    source_topic     text NOT NULL,
    source_partition integer NOT NULL,
    source_offset    bigint NOT NULL,
    event_id         uuid NOT NULL,
    note_time        timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (source_topic, source_partition, source_offset, event_id)
);
COMMENT ON TABLE audit.repeated IS
    'Offsets of source topics that repeat an event whose record names another offset. It grows '
    'only when the relay sends an event again, which a crash makes it do.';

GRANT SELECT, INSERT ON audit.repeated TO bp_audit;
GRANT SELECT ON audit.repeated TO bp_judge;

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON audit.repeated
    FOR EACH ROW EXECUTE FUNCTION audit.refuse();
CREATE TRIGGER append_only_whole BEFORE TRUNCATE ON audit.repeated
    FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse();

RESET ROLE;

-- migrate:down
DROP TABLE audit.repeated;
