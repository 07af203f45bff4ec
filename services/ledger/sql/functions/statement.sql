-- Returns a page of an account's entries, newest first, below a position (NULL: from the newest)
-- and above another, of some kinds (NULL: of all). The next page starts below the last position of
-- this one.
CREATE OR REPLACE FUNCTION ledger.statement(
    account_id uuid, below_position bigint DEFAULT NULL, page_rows integer DEFAULT 50,
    above_position bigint DEFAULT 0, kinds text[] DEFAULT NULL, received_only boolean DEFAULT false
) RETURNS TABLE (
    transaction_id uuid, kind text, reference uuid, currency text, amount bigint,
    balance_after bigint, "position" bigint, post_time timestamptz
)
LANGUAGE sql STABLE SECURITY DEFINER ROWS 50 SET search_path = pg_catalog, pg_temp
AS $$
    SELECT e.transaction_id, e.kind, e.reference, e.currency, e.amount, e.balance_after,
        e.position, e.post_time
    FROM ledger.entry e
    WHERE e.shard = ledger.shard_of(statement.account_id)
      AND e.account_id = statement.account_id
      AND e.position > above_position
      AND e.position < coalesce(below_position, 9223372036854775807)
      AND (kinds IS NULL OR e.kind = ANY (kinds))
      AND (e.amount > 0 OR NOT received_only)
    ORDER BY e.position DESC
    LIMIT least(greatest(page_rows, 1), 500)
$$;
