-- migrate:up

-- Partitions by the functions that all databases share.

SET ROLE transfers_owner;

-- Makes the missing monthly partitions of transfers.book_transfer, from the month before `since` to
-- `months_ahead` after it, and returns how many it made. The service calls it daily.
CREATE OR REPLACE FUNCTION transfers.ensure_partitions(
    months_ahead integer DEFAULT 3, since timestamptz DEFAULT now()
) RETURNS integer
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT partitioning.ensure_months('transfers.book_transfer', months_ahead, since)
$$;

RESET ROLE;

-- Here and not among the migrations of ledger, because the functions that called it are in the
-- schemas whose migrations run before this one.
DROP FUNCTION ledger.id_floor(timestamptz);

-- migrate:down
SET ROLE ledger_owner;
CREATE FUNCTION ledger.id_floor(instant timestamptz) RETURNS uuid
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$
    SELECT (lpad(to_hex(floor(extract(epoch FROM instant) * 1000)::bigint), 12, '0')
            || repeat('0', 20))::uuid
$$;
GRANT EXECUTE ON FUNCTION ledger.id_floor(timestamptz) TO bp_payments, bp_transfers, bp_relay, bp_judge,
    outbox_owner, transfers_owner;
RESET ROLE;
SET ROLE transfers_owner;
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
RESET ROLE;
