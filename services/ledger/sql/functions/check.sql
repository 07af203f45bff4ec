-- Returns every error in the books, or no row. It is one statement and therefore reads one
-- snapshot, so it may run while money moves. It reads all entries, so it is for audits, not for
-- requests.
CREATE OR REPLACE FUNCTION ledger.check() RETURNS TABLE (
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
