-- Makes the missing monthly partitions, from the month before `since` to `months_ahead` after it,
-- and returns how many it made.
CREATE OR REPLACE FUNCTION transfers.ensure_partitions(
    months_ahead integer DEFAULT 3, since timestamptz DEFAULT now()
) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC'
AS $$
DECLARE
    first_month timestamptz := date_trunc('month', since) - interval '1 month';
    month timestamptz;
    partition text;
    made integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('transfers.ensure_partitions', 0));
    FOR month IN
        SELECT generate_series(
            first_month,
            first_month + make_interval(months => months_ahead + 1),
            interval '1 month'
        )
    LOOP
        partition := 'book_transfer_' || to_char(month, 'YYYY_MM');
        CONTINUE WHEN to_regclass(format('transfers.%I', partition)) IS NOT NULL;
        EXECUTE format('CREATE TABLE transfers.%I (LIKE transfers.book_transfer INCLUDING ALL)',
            partition);
        EXECUTE format('ALTER TABLE transfers.book_transfer ATTACH PARTITION transfers.%I '
            'FOR VALUES FROM (%L) TO (%L)', partition, ledger.id_floor(month),
            ledger.id_floor(month + interval '1 month'));
        made := made + 1;
    END LOOP;
    RETURN made;
END $$;
