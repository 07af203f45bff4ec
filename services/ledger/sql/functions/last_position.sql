-- Returns the last position among the entries of an account in the months before `until`, the
-- beginning of a month; 0 without entries. It goes back month by month to the first with entries,
-- and no further than the opening of the account. It looks at one month more: where two months
-- meet, the entry with the higher position may have the id of the earlier month.
CREATE OR REPLACE FUNCTION ledger.last_position(account_id uuid, until timestamptz)
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
