-- Raises the reason why an account could not take a movement. `seen` is the account as it was
-- read, with a NULL id when it is not open.
CREATE OR REPLACE FUNCTION ledger.refuse_movement(
    transaction_id uuid, account_id uuid, currency text, seen ledger.account
) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM ledger.refuse_duplicate(transaction_id);
    IF seen.account_id IS NULL THEN
        RAISE EXCEPTION 'account % is not open', account_id USING ERRCODE = 'BP002';
    ELSIF seen.currency <> currency THEN
        RAISE EXCEPTION 'account % holds %, not %', account_id, seen.currency, currency
            USING ERRCODE = 'BP003';
    END IF;
    RAISE EXCEPTION 'account % does not hold the amount', account_id USING ERRCODE = 'BP001';
END $$;
