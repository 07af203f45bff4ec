-- Makes the missing monthly partitions of ledger.entry, from the month before `since` to
-- `months_ahead` after it, and returns how many it made. The relay calls it daily.
CREATE OR REPLACE FUNCTION ledger.ensure_partitions(
    months_ahead integer DEFAULT 3, since timestamptz DEFAULT now()
) RETURNS integer
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT chassis.ensure_months(
        'ledger.entry', months_ahead, since, 'ledger.finish_partition')
$$;
