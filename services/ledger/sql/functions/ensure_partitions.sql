-- Makes the missing monthly partitions, from the month before `since` to `months_ahead` after it,
-- and returns how many it made. It makes a table with all triggers and then attaches it, which
-- does not block writers. Each partition has the triggers of ledger.entry too, because a statement
-- that names a partition fires only the triggers of that partition.
CREATE OR REPLACE FUNCTION ledger.ensure_partitions(
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
    PERFORM pg_advisory_xact_lock(hashtextextended('ledger.ensure_partitions', 0));
    FOR month IN
        SELECT generate_series(
            first_month, first_month + make_interval(months => months_ahead + 1),
            interval '1 month')
    LOOP
        partition := 'entry_' || to_char(month, 'YYYY_MM');
        CONTINUE WHEN to_regclass(format('ledger.%I', partition)) IS NOT NULL;
        EXECUTE format('CREATE TABLE ledger.%I (LIKE ledger.entry INCLUDING ALL)', partition);
        EXECUTE format('CREATE TRIGGER entries_balance AFTER INSERT ON ledger.%I '
            'REFERENCING NEW TABLE AS posted '
            'FOR EACH STATEMENT EXECUTE FUNCTION ledger.entries_balance()', partition);
        EXECUTE format('CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE '
            'ON ledger.%I FOR EACH STATEMENT EXECUTE FUNCTION ledger.append_only()', partition);
        EXECUTE format('ALTER TABLE ledger.entry ATTACH PARTITION ledger.%I '
            'FOR VALUES FROM (%L) TO (%L)', partition, ledger.id_floor(month),
            ledger.id_floor(month + interval '1 month'));
        made := made + 1;
    END LOOP;
    RETURN made;
END $$;
