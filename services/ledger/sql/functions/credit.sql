-- Writes a leg of ledger.post that gives an amount to a customer account.
CREATE OR REPLACE FUNCTION ledger.credit(account_id uuid, currency text, amount bigint)
RETURNS ledger.leg
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT ROW('CREDIT', account_id, NULL, currency, amount)::ledger.leg $$;
