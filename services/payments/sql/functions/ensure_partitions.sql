-- Makes the missing monthly partitions from last month to `months_ahead` after this one. It makes
-- a table and then attaches it, which blocks neither readers nor writers. CREATE TABLE ...
-- PARTITION OF would lock the table against both.
CREATE OR REPLACE FUNCTION payments.ensure_partitions(months_ahead integer DEFAULT 3) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC'
AS $$
DECLARE
    month timestamptz;
    partition text;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('payments.ensure_partitions', 0));
    FOR month IN SELECT generate_series(
        date_trunc('month', now()) - interval '1 month',
        date_trunc('month', now()) + make_interval(months => months_ahead), interval '1 month')
    LOOP
        partition := 'interbank_transfer_' || to_char(month, 'YYYY_MM');
        CONTINUE WHEN to_regclass(format('payments.%I', partition)) IS NOT NULL;
        EXECUTE format('CREATE TABLE payments.%I (LIKE payments.interbank_transfer INCLUDING ALL) '
            'WITH (fillfactor = 70)', partition);
        EXECUTE format('ALTER TABLE payments.interbank_transfer ATTACH PARTITION payments.%I '
            'FOR VALUES FROM (%L) TO (%L)', partition, ledger.id_floor(month),
            ledger.id_floor(month + interval '1 month'));
    END LOOP;
END $$;
