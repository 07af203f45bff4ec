-- migrate:up

-- Reads the existing records without blocking readers and writers, then limits the notes of
-- repeated events too; that table is small. A row that an attacker wrote earlier must not stop a
-- release: the constraint then stays not validated, and bpctl audit verify reports the row.

DO $$
BEGIN
    ALTER TABLE audit.record VALIDATE CONSTRAINT record_chain_exists;
EXCEPTION WHEN check_violation THEN
    RAISE WARNING 'audit.record has rows of chains that do not exist: run bpctl audit verify';
END $$;

ALTER TABLE audit.repeated ADD CONSTRAINT repeated_chain_exists
    CHECK (chain BETWEEN 0 AND 11) NOT VALID;

DO $$
BEGIN
    ALTER TABLE audit.repeated VALIDATE CONSTRAINT repeated_chain_exists;
EXCEPTION WHEN check_violation THEN
    RAISE WARNING 'audit.repeated has rows of chains that do not exist: run bpctl audit verify';
END $$;

-- migrate:down
ALTER TABLE audit.repeated DROP CONSTRAINT repeated_chain_exists;
