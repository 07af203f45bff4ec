-- Opens accounts and posts an opening balance from FUNDING to each account that was never used
-- (amount 0: none). Repeating the call posts nothing twice. It is for seeding by the superuser and
-- granted to no role. Returns how many balances it posted.
CREATE OR REPLACE FUNCTION ledger.seed_accounts(
    account_ids uuid[], amounts bigint[], currency text DEFAULT 'USD'
) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    seeded bigint;
BEGIN
    IF cardinality(account_ids) <> cardinality(amounts) THEN
        RAISE EXCEPTION '% accounts but % amounts', cardinality(account_ids), cardinality(amounts)
            USING ERRCODE = 'BP006';
    END IF;
    INSERT INTO ledger.account (shard, account_id, currency)
    SELECT ledger.shard_of(u.id), u.id, seed_accounts.currency FROM unnest(account_ids) u (id)
    ORDER BY 1, 2 ON CONFLICT DO NOTHING;
    PERFORM FROM ledger.account a
    JOIN unnest(account_ids) u (id) ON a.shard = ledger.shard_of(u.id) AND a.account_id = u.id
    ORDER BY a.shard, a.account_id FOR NO KEY UPDATE OF a;
    WITH funded AS (
        UPDATE ledger.account a
        SET balance = w.amount, position = 1
        FROM unnest(account_ids, amounts) w (id, amount)
        WHERE a.shard = ledger.shard_of(w.id) AND a.account_id = w.id
          AND a.currency = seed_accounts.currency AND a.position = 0 AND w.amount > 0
        RETURNING a.shard, a.account_id, a.currency, a.balance, ledger.new_id(a.shard) AS id
    ), posted AS (
        INSERT INTO ledger.entry (shard, transaction_id, line, account_id, internal_code,
            currency, amount, balance_after, position, kind, reference)
        SELECT f.shard, f.id, 1, f.account_id, NULL, f.currency, f.balance, f.balance, 1,
            'OPENING_BALANCE', f.account_id
        FROM funded f
        UNION ALL
        SELECT f.shard, f.id, 2, NULL, 'FUNDING', f.currency, -f.balance, NULL, NULL,
            'OPENING_BALANCE', f.account_id
        FROM funded f
    )
    SELECT count(*) INTO seeded FROM funded;
    RETURN seeded;
END $$;
