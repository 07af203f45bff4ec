-- migrate:up

-- Older migrations drop the messages when they are rolled back. A roll-back goes through this
-- migration first, which refuses while there is a message.

COMMENT ON SCHEMA notif IS
    'Messages to customers. A roll-back of migration 0004 is refused while there is one, so no '
    'roll-back can drop them.';

-- migrate:down
DO $$
BEGIN
    IF EXISTS (SELECT FROM notif.notification) THEN
        RAISE EXCEPTION 'schema notif holds messages to customers'
            USING ERRCODE = 'object_in_use',
                HINT = 'Keep them with a new migration, or restore a backup.';
    END IF;
END $$;
COMMENT ON SCHEMA notif IS NULL;
