-- migrate:up

-- A customer's key is one key in the whole database, not one in each shard: the shard of a key is
-- its customer's. Customers keeps accounts in the shard of their customer; here it is held too.
-- Rows of before are looked at by the next migration, which stops nobody.
ALTER TABLE payments.idempotency_key ADD CONSTRAINT key_in_shard_of_customer CHECK (
    shard = (get_byte(uuid_send(customer_id), 15) & 63)) NOT VALID;

-- Makes the monthly partitions from last month to `months_ahead` after this one. Each is made
-- whole and attached then, which waits for no reader and no writer and stops none; made as a
-- partition, it would lock the table against all.
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

-- migrate:down
CREATE OR REPLACE FUNCTION payments.ensure_partitions(months_ahead integer DEFAULT 3) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC'
AS $$
DECLARE
    month timestamptz;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('payments.ensure_partitions', 0));
    FOR month IN SELECT generate_series(
        date_trunc('month', now()) - interval '1 month',
        date_trunc('month', now()) + make_interval(months => months_ahead), interval '1 month')
    LOOP
        EXECUTE format(
            'CREATE TABLE IF NOT EXISTS payments.%I PARTITION OF payments.interbank_transfer '
            'FOR VALUES FROM (%L) TO (%L) WITH (fillfactor = 70)',
            'interbank_transfer_' || to_char(month, 'YYYY_MM'),
            ledger.id_floor(month), ledger.id_floor(month + interval '1 month'));
    END LOOP;
END $$;
ALTER TABLE payments.idempotency_key DROP CONSTRAINT key_in_shard_of_customer;
