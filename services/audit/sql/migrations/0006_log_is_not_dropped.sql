-- migrate:up

-- Older migrations drop the log when they are rolled back. A roll-back goes through this migration
-- first, which refuses while the log holds a record.

COMMENT ON SCHEMA audit IS
    'The immutable log. A roll-back of migration 0006 is refused while it holds a record, so no '
    'roll-back can drop it.';

-- migrate:down
DO $$
BEGIN
    IF EXISTS (SELECT FROM audit.record) OR EXISTS (SELECT FROM audit.repeated) THEN
        RAISE EXCEPTION 'schema audit holds records of the log'
            USING ERRCODE = 'object_in_use',
                HINT = 'Keep them with a new migration, or restore a backup.';
    END IF;
END $$;
COMMENT ON SCHEMA audit IS NULL;
