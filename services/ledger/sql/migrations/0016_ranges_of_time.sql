-- migrate:up

-- The range of time of a statement reads the month of its ends, not each month of the account's
-- life for each step of the search.
SET ROLE ledger_owner;

-- Returns the last position among the entries of an account in the months before `until`, the
-- beginning of a month; 0 without entries. It goes back month by month to the first with entries,
-- and no further than the opening of the account. It looks at one month more: where two months
-- meet, the entry with the higher position may have the id of the earlier month.
CREATE FUNCTION ledger.last_position(account_id uuid, until timestamptz)
RETURNS bigint
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET timezone = 'UTC'
AS $$
#variable_conflict use_variable
DECLARE
    home constant smallint := ledger.shard_of(account_id);
    opened timestamptz;
    before timestamptz := until;
    found_position bigint;
    of_month bigint;
BEGIN
    SELECT a.open_time, least(before, date_trunc('month', now()) + interval '2 months')
    INTO opened, before
    FROM ledger.account a WHERE a.shard = home AND a.account_id = last_position.account_id;
    WHILE before > opened - interval '1 day' LOOP
        of_month := (
            SELECT e.position FROM ledger.entry e
            WHERE e.shard = home AND e.account_id = last_position.account_id
              AND e.transaction_id >= chassis.id_floor(before - interval '1 month')
              AND e.transaction_id < chassis.id_floor(before)
            ORDER BY e.position DESC LIMIT 1);
        EXIT WHEN found_position IS NOT NULL;
        found_position := of_month;
        before := before - interval '1 month';
    END LOOP;
    RETURN greatest(found_position, of_month, 0);
END $$;

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

RESET ROLE;
REVOKE ALL ON FUNCTION ledger.last_position(uuid, timestamptz) FROM PUBLIC;

-- migrate:down
SET ROLE ledger_owner;

-- Returns how many entries of an account were posted before a moment (NULL: all of them). It
-- searches the positions by halves, so it reads some twenty entries of the largest account.
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

DROP FUNCTION ledger.last_position(uuid, timestamptz);

RESET ROLE;
