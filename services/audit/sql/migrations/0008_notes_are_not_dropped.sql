-- migrate:up

-- The roll-back of migration 0007 drops the chain of the notes of repeated events before that of
-- 0006 refuses. So this one refuses first.

COMMENT ON SCHEMA audit IS
    'The immutable log. A roll-back of migration 0008 is refused while it holds a record or a note '
    'of a repeated event, so no roll-back can drop them.';

-- migrate:down
DO $$
BEGIN
    IF EXISTS (SELECT FROM audit.record) OR EXISTS (SELECT FROM audit.repeated) THEN
        RAISE EXCEPTION 'schema audit holds records of the log'
            USING ERRCODE = 'object_in_use',
                HINT = 'Keep them with a new migration, or restore a backup.';
    END IF;
END $$;
COMMENT ON SCHEMA audit IS
    'The immutable log. A roll-back of migration 0006 is refused while it holds a record, so no '
    'roll-back can drop it.';
