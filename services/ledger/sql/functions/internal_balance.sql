-- Returns what an internal account holds now over all shards: the balance of the last roll-up and
-- the amounts since.
CREATE OR REPLACE FUNCTION ledger.internal_balance(code text, currency text) RETURNS numeric
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce((SELECT sum(c.balance) FROM ledger.internal_checkpoint c
                     WHERE c.code = internal_balance.code
                       AND c.currency = internal_balance.currency), 0)
         + coalesce((SELECT sum(p.amount) FROM ledger.internal_pending p
                     WHERE p.code = internal_balance.code
                       AND p.currency = internal_balance.currency), 0)
$$;
