-- migrate:up

-- Older migrations drop customers, accounts and account numbers when they are rolled back. A
-- roll-back goes through this migration first, which refuses while there is one.

COMMENT ON SCHEMA customers IS
    'Customers and their accounts. A roll-back of migration 0006 is refused while there is one, so '
    'no roll-back can drop them.';

-- migrate:down
DO $$
BEGIN
    IF EXISTS (SELECT FROM customers.customer) OR EXISTS (SELECT FROM customers.account)
        OR EXISTS (SELECT FROM customers.balance)
    THEN
        RAISE EXCEPTION 'schema customers holds customers, accounts or balances'
            USING ERRCODE = 'object_in_use',
                HINT = 'Keep them with a new migration, or restore a backup.';
    END IF;
END $$;
COMMENT ON SCHEMA customers IS NULL;
