-- Trigger: refuses entries that do not sum to zero in each transaction and currency, for every
-- role. It also notes the internal amounts in ledger.internal_pending for the roll-up.
CREATE OR REPLACE FUNCTION ledger.entries_balance() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    unbalanced record;
BEGIN
    SELECT e.transaction_id, e.currency, sum(e.amount) AS amount INTO unbalanced
    FROM posted e GROUP BY e.transaction_id, e.currency HAVING sum(e.amount) <> 0 LIMIT 1;
    IF FOUND THEN
        IF NOT EXISTS (SELECT FROM posted e
                       WHERE e.transaction_id = unbalanced.transaction_id AND e.line = 1) THEN
            PERFORM ledger.refuse_duplicate(unbalanced.transaction_id);
        END IF;
        RAISE EXCEPTION 'transaction % is off by % %: its entries must sum to zero',
            unbalanced.transaction_id, unbalanced.amount, unbalanced.currency
            USING ERRCODE = 'BP005';
    END IF;
    INSERT INTO ledger.internal_pending (shard, code, currency, amount)
    SELECT e.shard, e.internal_code, e.currency, e.amount
    FROM posted e WHERE e.internal_code IS NOT NULL;
    RETURN NULL;
END $$;
