-- Returns what a customer account holds now, or no row when the account is not open.
CREATE OR REPLACE FUNCTION ledger.balance(account_id uuid) RETURNS SETOF ledger.posted
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT a.account_id, a.currency, a.balance, a.position
    FROM ledger.account a
    WHERE a.shard = ledger.shard_of(balance.account_id) AND a.account_id = balance.account_id
$$;
