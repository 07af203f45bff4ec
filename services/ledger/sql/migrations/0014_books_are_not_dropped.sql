-- migrate:up

-- Older migrations drop the books when they are rolled back. A roll-back goes through this
-- migration first, which refuses while the books hold an entry.

COMMENT ON SCHEMA ledger IS
    'The books. A roll-back of migration 0014 is refused while they hold an entry, so no roll-back '
    'can drop them.';

-- migrate:down
DO $$
BEGIN
    IF EXISTS (SELECT FROM ledger.entry) OR EXISTS (SELECT FROM ledger.account) THEN
        RAISE EXCEPTION 'schema ledger holds accounts or entries'
            USING ERRCODE = 'object_in_use',
                HINT = 'Keep them with a new migration, or restore a backup.';
    END IF;
END $$;
COMMENT ON SCHEMA ledger IS NULL;
