-- migrate:up

-- A statement can be limited to a range of positions and to kinds of postings. A range of time is
-- a range of positions too, because an account's entries are posted in the order of their
-- positions, so it needs no index of its own.

SET ROLE ledger_owner;

-- Returns how many entries of an account were posted before a moment (NULL: all of them). It
-- searches the positions by halves, so it reads some twenty entries of the largest account.
CREATE FUNCTION ledger.position_before(account_id uuid, moment timestamptz) RETURNS bigint
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $$
#variable_conflict use_variable
DECLARE
    home constant smallint := ledger.shard_of(account_id);
    low bigint := 0;
    high bigint := (SELECT a.position FROM ledger.account a
                    WHERE a.shard = home AND a.account_id = position_before.account_id);
    middle bigint;
    posted timestamptz;
BEGIN
    IF moment IS NULL THEN
        RETURN coalesce(high, 0);
    END IF;
    -- Entries up to `low` are before the moment, and entries above `high` are not.
    WHILE low < high LOOP
        middle := (low + high + 1) / 2;
        SELECT e.post_time INTO posted FROM ledger.entry e
        WHERE e.shard = home AND e.account_id = position_before.account_id
          AND e.position = middle;
        IF posted < moment THEN
            low := middle;
        ELSE
            high := middle - 1;
        END IF;
    END LOOP;
    RETURN low;
END $$;

DROP FUNCTION ledger.statement(uuid, bigint, integer);

-- Returns a page of an account's entries, newest first, below a position (NULL: from the newest)
-- and above another, of some kinds (NULL: of all). The next page starts below the last position of
-- this one.
CREATE FUNCTION ledger.statement(
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
RESET ROLE;
REVOKE ALL ON FUNCTION ledger.position_before(uuid, timestamptz) FROM PUBLIC;
REVOKE ALL ON FUNCTION ledger.statement(uuid, bigint, integer, bigint, text[], boolean) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ledger.position_before(uuid, timestamptz) TO bp_transfers;
GRANT EXECUTE ON FUNCTION ledger.statement(uuid, bigint, integer, bigint, text[], boolean)
    TO bp_payments, bp_transfers, bp_judge;

-- migrate:down
SET ROLE ledger_owner;
DROP FUNCTION ledger.position_before(uuid, timestamptz);
DROP FUNCTION ledger.statement(uuid, bigint, integer, bigint, text[], boolean);
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
RESET ROLE;
REVOKE ALL ON FUNCTION ledger.statement(uuid, bigint, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ledger.statement(uuid, bigint, integer)
    TO bp_payments, bp_transfers, bp_judge;
