-- migrate:up

-- Partitions by the functions that all databases share.

SET ROLE outbox_owner;

-- Makes the missing monthly partitions of outbox.published, from the month before `since` to
-- `months_ahead` after it, and returns how many it made. The relay calls it daily.
CREATE OR REPLACE FUNCTION outbox.ensure_partitions(
    months_ahead integer DEFAULT 3, since timestamptz DEFAULT now()
) RETURNS integer
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT chassis.ensure_months('outbox.published', months_ahead, since)
$$;

RESET ROLE;

-- migrate:down
SET ROLE outbox_owner;
CREATE OR REPLACE FUNCTION outbox.ensure_partitions(
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
    PERFORM pg_advisory_xact_lock(hashtextextended('outbox.ensure_partitions', 0));
    FOR month IN
        SELECT generate_series(
            first_month, first_month + make_interval(months => months_ahead + 1),
            interval '1 month')
    LOOP
        partition := 'published_' || to_char(month, 'YYYY_MM');
        CONTINUE WHEN to_regclass(format('outbox.%I', partition)) IS NOT NULL;
        EXECUTE format('CREATE TABLE outbox.%I (LIKE outbox.published INCLUDING ALL)', partition);
        EXECUTE format('ALTER TABLE outbox.published ATTACH PARTITION outbox.%I '
            'FOR VALUES FROM (%L) TO (%L)', partition, ledger.id_floor(month),
            ledger.id_floor(month + interval '1 month'));
        made := made + 1;
    END LOOP;
    RETURN made;
END $$;
RESET ROLE;
