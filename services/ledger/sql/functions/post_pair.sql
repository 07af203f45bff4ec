-- Posts a transaction of one customer account and one internal account, the most common case, with
-- half the statements of ledger.post. A negative `amount` takes from the customer.
CREATE OR REPLACE FUNCTION ledger.post_pair(
    transaction_id uuid, kind text, reference uuid, account_id uuid, currency text, amount bigint,
    internal_code text
) RETURNS ledger.posted[]
LANGUAGE plpgsql
AS $$
DECLARE
    home constant smallint := ledger.shard_of(transaction_id);
    moved ledger.posted;
    lines integer;
BEGIN
    PERFORM ledger.require_transaction_id(transaction_id, account_id);
    PERFORM ledger.require_internal(internal_code);
    moved := ledger.move_balance(transaction_id, account_id, currency, amount);
    INSERT INTO ledger.entry (shard, transaction_id, line, account_id, internal_code, currency,
        amount, balance_after, position, kind, reference)
    VALUES
        (home, transaction_id, 1, account_id, NULL, currency, amount, moved.balance,
         moved.position, kind, reference),
        (home, transaction_id, 2, NULL, internal_code, currency, -amount, NULL, NULL, kind,
         reference)
    ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS lines = ROW_COUNT;
    IF lines <> 2 THEN
        RAISE EXCEPTION 'transaction % is already posted', transaction_id USING ERRCODE = 'BP004';
    END IF;
    RETURN ARRAY[moved];
END $$;
