-- migrate:up

-- What is read from the books, what keeps them small and what proves them right.

SET ROLE ledger_owner;

-- What a customer account holds now; no row when it is not open.
CREATE FUNCTION ledger.balance(account_id uuid) RETURNS SETOF ledger.posted
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT a.account_id, a.currency, a.balance, a.position
    FROM ledger.account a
    WHERE a.shard = ledger.shard_of(balance.account_id) AND a.account_id = balance.account_id
$$;

-- What an internal account holds now over all shards: the last roll-up and what came since.
CREATE FUNCTION ledger.internal_balance(code text, currency text) RETURNS numeric
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce((SELECT sum(c.balance) FROM ledger.internal_checkpoint c
                     WHERE c.code = internal_balance.code
                       AND c.currency = internal_balance.currency), 0)
         + coalesce((SELECT sum(p.amount) FROM ledger.internal_pending p
                     WHERE p.code = internal_balance.code
                       AND p.currency = internal_balance.currency), 0)
$$;

-- An account's entries, newest first, below a position (NULL: from the newest). The next page
-- starts below the last position of this one.
CREATE FUNCTION ledger.statement(
    account_id uuid, below_position bigint DEFAULT NULL, page_rows integer DEFAULT 50
) RETURNS TABLE (
    transaction_id uuid, kind text, reference uuid, currency text, amount bigint,
    balance_after bigint, "position" bigint, post_time timestamptz
)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT e.transaction_id, e.kind, e.reference, e.currency, e.amount, e.balance_after,
        e.position, e.post_time
    FROM ledger.entry e
    WHERE e.shard = ledger.shard_of(statement.account_id)
      AND e.account_id = statement.account_id
      AND e.position < coalesce(below_position, 9223372036854775807)
    ORDER BY e.position DESC
    LIMIT least(greatest(page_rows, 1), 500)
$$;

-- Folds what internal accounts received since the last time into their checkpoints; returns how
-- many amounts it folded. Run every few seconds by the relay's upkeep.
CREATE FUNCTION ledger.roll_up(rows_max integer DEFAULT 50000) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    folded bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('ledger.roll_up', 0));
    WITH taken AS (
        DELETE FROM ledger.internal_pending p
        WHERE p.ctid = ANY (ARRAY(SELECT q.ctid FROM ledger.internal_pending q LIMIT rows_max))
        RETURNING p.shard, p.code, p.currency, p.amount
    ), summed AS (
        SELECT t.shard, t.code, t.currency, sum(t.amount) AS amount, count(*) AS n
        FROM taken t GROUP BY t.shard, t.code, t.currency
    ), kept AS (
        INSERT INTO ledger.internal_checkpoint AS c (shard, code, currency, balance)
        SELECT s.shard, s.code, s.currency, s.amount FROM summed s
        ON CONFLICT (shard, code, currency) DO UPDATE SET balance = c.balance + excluded.balance
    )
    SELECT coalesce(sum(s.n), 0) INTO folded FROM summed s;
    RETURN folded;
END $$;

-- Every way in which the books could be wrong; no row when they are right. One statement, so one
-- snapshot: it may run while money moves. Reads everything: for audits, not for requests.
CREATE FUNCTION ledger.check() RETURNS TABLE (
    problem text, shard smallint, account_id uuid, transaction_id uuid, code text, currency text,
    expected numeric, actual numeric
)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
    WITH customer AS (
        SELECT e.shard, e.account_id, sum(e.amount) AS amount, count(*) AS entries,
            max(e.position) AS last, count(DISTINCT e.position) AS positions,
            (array_agg(e.balance_after ORDER BY e.position DESC))[1] AS balance_after,
            min(e.currency) AS currency, count(DISTINCT e.currency) AS currencies
        FROM ledger.entry e WHERE e.account_id IS NOT NULL GROUP BY e.shard, e.account_id
    ), compared AS (
        SELECT coalesce(a.shard, c.shard) AS shard, coalesce(a.account_id, c.account_id) AS id,
            coalesce(a.currency, c.currency) AS currency, a.balance, a.position,
            coalesce(c.amount, 0) AS amount, coalesce(c.entries, 0) AS entries,
            coalesce(c.last, 0) AS last, coalesce(c.positions, 0) AS positions,
            coalesce(c.balance_after, 0) AS balance_after,
            coalesce(c.currency <> a.currency OR c.currencies > 1, false) AS mixed
        FROM ledger.account a FULL JOIN customer c
          ON a.shard = c.shard AND a.account_id = c.account_id
    ), internal AS (
        SELECT i.shard, i.code, i.currency, sum(i.kept) AS kept, sum(i.posted) AS posted
        FROM (
            SELECT k.shard, k.code, k.currency, k.balance, 0 FROM ledger.internal_checkpoint k
            UNION ALL
            SELECT p.shard, p.code, p.currency, p.amount, 0 FROM ledger.internal_pending p
            UNION ALL
            SELECT e.shard, e.internal_code, e.currency, 0, e.amount
            FROM ledger.entry e WHERE e.internal_code IS NOT NULL
        ) AS i (shard, code, currency, kept, posted) GROUP BY i.shard, i.code, i.currency
    )
    SELECT 'BOOKS_NOT_ZERO', NULL::smallint, NULL::uuid, NULL::uuid, NULL, e.currency,
        0::numeric, sum(e.amount)
    FROM ledger.entry e GROUP BY e.currency HAVING sum(e.amount) <> 0
    UNION ALL
    SELECT 'TRANSACTION_NOT_ZERO', NULL, NULL, e.transaction_id, NULL, e.currency, 0,
        sum(e.amount)
    FROM ledger.entry e GROUP BY e.transaction_id, e.currency HAVING sum(e.amount) <> 0
    UNION ALL
    SELECT 'BALANCE_NEGATIVE', c.shard, c.id, NULL, NULL, c.currency, 0, c.balance
    FROM compared c WHERE c.balance < 0
    UNION ALL
    SELECT 'BALANCE_DIFFERS', c.shard, c.id, NULL, NULL, c.currency, c.amount, c.balance
    FROM compared c WHERE c.amount IS DISTINCT FROM c.balance
    UNION ALL
    SELECT 'LAST_BALANCE_DIFFERS', c.shard, c.id, NULL, NULL, c.currency, c.balance_after,
        c.balance
    FROM compared c WHERE c.balance_after IS DISTINCT FROM c.balance
    UNION ALL
    SELECT 'POSITION_DIFFERS', c.shard, c.id, NULL, NULL, c.currency, c.entries, c.position
    FROM compared c
    WHERE c.position IS DISTINCT FROM c.entries OR c.last <> c.entries OR c.positions <> c.entries
    UNION ALL
    SELECT 'CURRENCY_MIXED', c.shard, c.id, NULL, NULL, c.currency, NULL, NULL
    FROM compared c WHERE c.mixed
    UNION ALL
    SELECT 'INTERNAL_DIFFERS', i.shard, NULL, NULL, i.code, i.currency, i.posted, i.kept
    FROM internal i WHERE i.posted <> i.kept
$$;

-- Opens accounts and gives each never-used one its opening balance (0: none) from FUNDING.
-- Repeating gives nothing twice. For seeding by the superuser; granted to nobody. Returns how
-- many balances it posted.
CREATE FUNCTION ledger.seed_accounts(
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

GRANT EXECUTE ON FUNCTION ledger.balance(uuid), ledger.internal_balance(text, text),
    ledger.statement(uuid, bigint, integer) TO bp_payments, bp_transfers, bp_judge;
GRANT EXECUTE ON FUNCTION ledger.roll_up(integer) TO bp_relay;
GRANT EXECUTE ON FUNCTION ledger.check() TO bp_judge;

RESET ROLE;

-- migrate:down
DROP FUNCTION ledger.seed_accounts, ledger.check, ledger.roll_up, ledger.statement,
    ledger.internal_balance, ledger.balance;
