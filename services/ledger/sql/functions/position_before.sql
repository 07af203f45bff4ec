-- Returns how many entries of an account were posted before a moment (NULL: all of them). It
-- searches the positions by halves, within the month of the moment, or two near a month's end: an
-- id is drawn within a day of its posting. So it reads few partitions, however old the account is.
CREATE OR REPLACE FUNCTION ledger.position_before(account_id uuid, moment timestamptz)
RETURNS bigint
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET timezone = 'UTC'
AS $$
#variable_conflict use_variable
DECLARE
    home constant smallint := ledger.shard_of(account_id);
    since constant timestamptz := date_trunc('month', moment - interval '1 day');
    until constant timestamptz :=
        date_trunc('month', moment + interval '1 day') + interval '1 month';
    low bigint;
    high bigint;
    middle bigint;
    posted timestamptz;
BEGIN
    IF moment IS NULL THEN
        RETURN coalesce((SELECT a.position FROM ledger.account a
                         WHERE a.shard = home AND a.account_id = position_before.account_id), 0);
    END IF;
    -- Entries up to `low` are before the moment, and entries above `high` are not.
    low := ledger.last_position(account_id, since);
    high := ledger.last_position(account_id, until);
    WHILE low < high LOOP
        middle := (low + high + 1) / 2;
        SELECT e.post_time INTO posted FROM ledger.entry e
        WHERE e.shard = home AND e.account_id = position_before.account_id
          AND e.position = middle
          AND e.transaction_id >= chassis.id_floor(since - interval '1 day')
          AND e.transaction_id < chassis.id_floor(until + interval '1 day');
        IF posted < moment THEN
            low := middle;
        ELSE
            high := middle - 1;
        END IF;
    END LOOP;
    RETURN low;
END $$;
