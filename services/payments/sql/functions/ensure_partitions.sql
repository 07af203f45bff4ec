-- Makes the missing monthly partitions of payments.interbank_transfer and payments.declined_order,
-- from the month before `since` to `months_ahead` after it, and returns how many it made. The
-- service calls it daily.
CREATE OR REPLACE FUNCTION payments.ensure_partitions(
    months_ahead integer DEFAULT 3, since timestamptz DEFAULT now()
) RETURNS integer
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT chassis.ensure_months(
            'payments.interbank_transfer', months_ahead, since, 'payments.finish_partition')
        + chassis.ensure_months('payments.declined_order', months_ahead, since)
$$;
