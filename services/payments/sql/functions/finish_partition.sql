-- Leaves room in each page of a partition, so that a step of a transfer is a HOT update.
CREATE OR REPLACE FUNCTION payments.finish_partition(partition regclass) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    EXECUTE format('ALTER TABLE %s SET (fillfactor = 70)', partition);
END $$;
