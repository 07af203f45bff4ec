-- Gives a customer an amount from an internal account of the same shard.
CREATE OR REPLACE FUNCTION ledger.credit_from_internal(
    transaction_id uuid, kind text, reference uuid, account_id uuid, currency text, amount bigint,
    internal_code text
) RETURNS ledger.posted[]
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT ledger.post_pair(transaction_id, kind, reference, account_id, currency,
        ledger.require_amount(amount), internal_code)
$$;
