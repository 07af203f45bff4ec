-- Writes a leg of ledger.post that takes an amount from a customer account.
CREATE OR REPLACE FUNCTION ledger.debit(account_id uuid, currency text, amount bigint)
RETURNS ledger.leg
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT ROW('DEBIT', account_id, NULL, currency, amount)::ledger.leg $$;
