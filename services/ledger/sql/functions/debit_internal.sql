-- Writes a leg of ledger.post that takes an amount from an internal account.
CREATE OR REPLACE FUNCTION ledger.debit_internal(internal_code text, currency text, amount bigint)
RETURNS ledger.leg
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT ROW('DEBIT', NULL, internal_code, currency, amount)::ledger.leg $$;
