-- migrate:up

-- Older migrations drop the customers' devices too. So a roll-back is refused while there is one,
-- not only while there is a message.

COMMENT ON SCHEMA notif IS
    'Messages to customers, and their devices. A roll-back of migration 0006 is refused while '
    'there is one, so no roll-back can drop them.';

-- migrate:down
DO $$
BEGIN
    IF EXISTS (SELECT FROM notif.notification) OR EXISTS (SELECT FROM notif.device) THEN
        RAISE EXCEPTION 'schema notif holds messages to customers or their devices'
            USING ERRCODE = 'object_in_use',
                HINT = 'Keep them with a new migration, or restore a backup.';
    END IF;
END $$;
COMMENT ON SCHEMA notif IS
    'Messages to customers. A roll-back of migration 0004 is refused while there is one, so no '
    'roll-back can drop them.';
