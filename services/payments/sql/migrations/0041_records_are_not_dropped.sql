-- migrate:up

-- Newer migrations than 0029 made tables and columns with records of their own. A roll-back goes
-- through this migration first, which refuses while there is such a record.

COMMENT ON SCHEMA payments IS
    'Interbank transfers, their keys, and what was declined or reviewed. A roll-back of migration '
    '0041 is refused while it holds a record, so no roll-back can drop one.';

-- migrate:down
DO $$
BEGIN
    IF EXISTS (SELECT FROM payments.interbank_transfer)
        OR EXISTS (SELECT FROM payments.declined_order)
        OR EXISTS (SELECT FROM payments.review_decision)
        OR EXISTS (SELECT FROM payments.transfer_without_key)
    THEN
        RAISE EXCEPTION 'schema payments holds transfers, declined orders or reviews'
            USING ERRCODE = 'object_in_use',
                HINT = 'Keep them with a new migration, or restore a backup.';
    END IF;
END $$;
COMMENT ON SCHEMA payments IS NULL;
