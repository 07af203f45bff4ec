-- Returns how many entries of an account were posted before a moment (NULL: all of them). It does a
-- binary search over the positions, so it reads about twenty entries of the largest account.
CREATE OR REPLACE FUNCTION ledger.position_before(account_id uuid, moment timestamptz)
RETURNS bigint
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
