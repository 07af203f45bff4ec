-- Opens an account with a balance of zero, or returns it when it is open. Repeating the call is
-- harmless, also from several connections at once. An id that is open in another currency is
-- refused.
CREATE OR REPLACE FUNCTION ledger.open_account(account_id uuid, currency text) RETURNS ledger.posted
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    held ledger.posted;
BEGIN
    INSERT INTO ledger.account AS a (shard, account_id, currency)
    VALUES (ledger.shard_of(open_account.account_id), open_account.account_id,
            open_account.currency)
    ON CONFLICT DO NOTHING;
    SELECT a.account_id, a.currency, a.balance, a.position INTO STRICT held
    FROM ledger.account a
    WHERE a.shard = ledger.shard_of(open_account.account_id)
      AND a.account_id = open_account.account_id;
    IF held.currency <> open_account.currency THEN
        RAISE EXCEPTION 'account % holds %, not %', open_account.account_id, held.currency,
            open_account.currency USING ERRCODE = 'BP003';
    END IF;
    RETURN held;
END $$;
