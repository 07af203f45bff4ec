-- Writes a leg of ledger.post that gives an amount to an internal account.
CREATE OR REPLACE FUNCTION ledger.credit_internal(internal_code text, currency text, amount bigint)
RETURNS ledger.leg
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT ROW('CREDIT', NULL, internal_code, currency, amount)::ledger.leg $$;
