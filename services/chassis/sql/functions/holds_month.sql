-- Returns whether a default partition (NULL: there is none) already holds rows of a month. Such a
-- month gets no partition, because PostgreSQL would refuse to attach it.
CREATE OR REPLACE FUNCTION chassis.holds_month(
    default_partition regclass, key_column name, month timestamptz
) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET timezone = 'UTC'
AS $$
DECLARE
    held boolean := false;
BEGIN
    IF default_partition IS NOT NULL THEN
        EXECUTE format('SELECT EXISTS (SELECT FROM %s WHERE %I >= $1 AND %I < $2)',
            default_partition, key_column, key_column)
        INTO held
        USING chassis.id_floor(month), chassis.id_floor(month + interval '1 month');
    END IF;
    RETURN held;
END $$;
