-- migrate:up

-- Older migrations drop the record of published events too. So a roll-back is refused while it
-- holds one, not only while an event still waits.

COMMENT ON SCHEMA outbox IS
    'Events on their way to Kafka, and where the published ones are. A roll-back of migration 0008 '
    'is refused while there is one, so no roll-back can drop them.';

-- migrate:down
DO $$
BEGIN
    IF EXISTS (SELECT FROM outbox.event) OR EXISTS (SELECT FROM outbox.parked)
        OR EXISTS (SELECT FROM outbox.published)
    THEN
        RAISE EXCEPTION 'schema outbox holds events'
            USING ERRCODE = 'object_in_use',
                HINT = 'Keep them with a new migration, or restore a backup.';
    END IF;
END $$;
COMMENT ON SCHEMA outbox IS NULL;
