-- migrate:up

-- The notes of repeated events become a hash chain for each chain of records, so that a signed head
-- covers them. Notes of earlier versions have no chain and excuse no gap.

SET ROLE audit_owner;

-- The table is small: a row is added only when the relay sends an event again after a crash.
ALTER TABLE audit.repeated
    ADD COLUMN chain smallint,
    ADD COLUMN sequence bigint,
    ADD COLUMN log_offset bigint,
    ADD COLUMN previous_hash bytea,
    ADD COLUMN hash bytea,
    -- squawk-ignore constraint-missing-not-valid
    ADD CONSTRAINT repeated_chained CHECK (
        num_nonnulls(chain, sequence, log_offset, previous_hash, hash) IN (0, 5)
    );

-- squawk-ignore require-concurrent-index-creation
CREATE UNIQUE INDEX repeated_chain ON audit.repeated (chain, sequence) WHERE chain IS NOT NULL;
COMMENT ON INDEX audit.repeated_chain IS
    'For the notes of one chain, in order.';
COMMENT ON TABLE audit.repeated IS
    'Offsets of source topics that repeat an event whose record names another offset. It grows '
    'only when the relay sends an event again, which a crash makes it do. services/audit/notes.py '
    'says what hash covers. A row without a chain comes from an earlier version.';

RESET ROLE;

-- migrate:down
SET ROLE audit_owner;
DROP INDEX audit.repeated_chain;
ALTER TABLE audit.repeated
    DROP COLUMN chain, DROP COLUMN sequence, DROP COLUMN log_offset,
    DROP COLUMN previous_hash, DROP COLUMN hash;
COMMENT ON TABLE audit.repeated IS
    'Offsets of source topics that repeat an event whose record names another offset. It grows '
    'only when the relay sends an event again, which a crash makes it do.';
RESET ROLE;
