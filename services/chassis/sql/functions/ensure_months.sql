-- Makes the missing monthly partitions of `parent`, from the month before `since` to `months_ahead`
-- after it, and returns how many it made. `parent` is partitioned by ranges of UUIDv7. It runs with
-- the rights of its caller, a function of the table's owner. The limits bound the locks that one
-- call takes, and keep a wrong time from making useless months. Only one call makes months of a
-- table at a time: the lock of the table admits readers and writers, and no login may take it.
CREATE OR REPLACE FUNCTION chassis.ensure_months(
    parent regclass, months_ahead integer, since timestamptz, finish regproc DEFAULT NULL
) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET timezone = 'UTC'
AS $$
DECLARE
    first_month timestamptz := date_trunc('month', since) - interval '1 month';
    month timestamptz;
    partition text;
    of_parent record;
    made integer := 0;
BEGIN
    IF months_ahead NOT BETWEEN 0 AND 60
        OR since NOT BETWEEN now() - interval '10 years' AND now() + interval '10 years'
    THEN
        RAISE EXCEPTION 'no partitions for % months after %: at most 60 months, within 10 years',
            months_ahead, since USING ERRCODE = 'invalid_parameter_value';
    END IF;
    SELECT n.nspname AS schema, c.relname AS name, a.attname AS key_column,
        nullif(p.partdefid, 0)::regclass AS default_partition
    INTO STRICT of_parent
    FROM pg_partitioned_table p JOIN pg_class c ON c.oid = p.partrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = p.partattrs[0]
    WHERE p.partrelid = parent;
    FOR month IN
        SELECT generate_series(
            first_month, first_month + make_interval(months => months_ahead + 1),
            interval '1 month')
    LOOP
        partition := of_parent.name || '_' || to_char(month, 'YYYY_MM');
        CONTINUE WHEN to_regclass(format('%I.%I', of_parent.schema, partition)) IS NOT NULL;
        CONTINUE WHEN chassis.holds_month(
            of_parent.default_partition, of_parent.key_column, month);
        IF made = 0 THEN
            EXECUTE format('LOCK TABLE ONLY %s IN SHARE UPDATE EXCLUSIVE MODE', parent);
            CONTINUE WHEN to_regclass(format('%I.%I', of_parent.schema, partition)) IS NOT NULL;
        END IF;
        PERFORM chassis.make_month(parent, of_parent.schema, partition, month, finish);
        made := made + 1;
    END LOOP;
    RETURN made;
END $$;
