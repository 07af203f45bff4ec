-- migrate:up

-- Partitions by the functions that all databases share.

DROP FUNCTION payments.ensure_partitions(integer);

-- Leaves room in each page of a partition, so that a step of a transfer is a HOT update.
CREATE FUNCTION payments.finish_partition(partition regclass) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    EXECUTE format('ALTER TABLE %s SET (fillfactor = 70)', partition);
END $$;

-- Makes the missing monthly partitions of payments.interbank_transfer, from the month before
-- `since` to `months_ahead` after it, and returns how many it made. The service calls it daily.
CREATE FUNCTION payments.ensure_partitions(
    months_ahead integer DEFAULT 3, since timestamptz DEFAULT now()
) RETURNS integer
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT partitioning.ensure_months(
        'payments.interbank_transfer', months_ahead, since, 'payments.finish_partition')
$$;

REVOKE EXECUTE ON FUNCTION payments.ensure_partitions(integer, timestamptz),
    payments.finish_partition(regclass) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION payments.ensure_partitions(integer, timestamptz) TO bp_payments;

-- migrate:down
DROP FUNCTION payments.ensure_partitions(integer, timestamptz);
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
REVOKE EXECUTE ON FUNCTION payments.ensure_partitions(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION payments.ensure_partitions(integer) TO bp_payments;
DROP FUNCTION payments.finish_partition(regclass);
