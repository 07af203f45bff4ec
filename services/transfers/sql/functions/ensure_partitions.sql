-- Makes the missing monthly partitions of transfers.book_transfer and transfers.declined_order,
-- from the month before `since` to `months_ahead` after it, and returns how many it made. The
-- service calls it daily.
CREATE OR REPLACE FUNCTION transfers.ensure_partitions(
    months_ahead integer DEFAULT 3, since timestamptz DEFAULT now()
) RETURNS integer
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT chassis.ensure_months('transfers.book_transfer', months_ahead, since)
        + chassis.ensure_months('transfers.declined_order', months_ahead, since)
$$;
