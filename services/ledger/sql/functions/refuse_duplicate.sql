-- Raises BP004 when a transaction of this id is in the books. It is called before another refusal
-- is raised, so that a repeated debit is not refused as "insufficient funds".
CREATE OR REPLACE FUNCTION ledger.refuse_duplicate(transaction_id uuid) RETURNS void
LANGUAGE plpgsql STRICT
AS $$
BEGIN
    IF EXISTS (
        SELECT FROM ledger.entry e
        WHERE e.shard = ledger.shard_of(refuse_duplicate.transaction_id)
          AND e.transaction_id = refuse_duplicate.transaction_id AND e.line = 1
    ) THEN
        RAISE EXCEPTION 'transaction % is already posted', transaction_id USING ERRCODE = 'BP004';
    END IF;
END $$;
