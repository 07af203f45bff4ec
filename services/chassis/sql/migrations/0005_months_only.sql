-- migrate:up

-- The partition for other rows has no month in its name. PostgreSQL may evaluate the conditions of
-- a query in any order, and then reading the month of such a name failed.

-- Drops the monthly partitions of `parent` that ended more than `keep` ago, and returns how many it
-- dropped. It drops only partitions with the names that chassis.ensure_months gives. It runs with
-- the rights of its caller, a function of the table's owner. Statements on `parent` may wait for
-- the drop, so it stops when it waits 250 ms for a lock; the next upkeep tries again.
CREATE OR REPLACE FUNCTION chassis.drop_months(parent regclass, keep interval) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET timezone = 'UTC'
SET lock_timeout = '250ms'
AS $$
DECLARE
    old record;
    dropped integer := 0;
BEGIN
    IF keep IS NULL OR now() - keep > now() - interval '30 days' THEN
        RAISE EXCEPTION 'partitions are kept for 30 days or more, not %', keep
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    FOR old IN
        SELECT h.inhrelid::regclass AS partition
        FROM pg_inherits h JOIN pg_class c ON c.oid = h.inhrelid
        JOIN pg_class p ON p.oid = h.inhparent
        WHERE h.inhparent = parent
          -- CASE, because PostgreSQL may evaluate conditions in any order, and the partition for
          -- other rows has no month in its name.
          AND CASE WHEN c.relname ~ ('^' || p.relname || '_[0-9]{4}_[0-9]{2}$')
              THEN to_date(right(c.relname, 7), 'YYYY_MM') + interval '1 month' <= now() - keep
              ELSE false END
        ORDER BY c.relname
    LOOP
        BEGIN
            EXECUTE format('DROP TABLE %s', old.partition);
        EXCEPTION WHEN lock_not_available THEN
            RETURN dropped;
        END;
        dropped := dropped + 1;
    END LOOP;
    RETURN dropped;
END $$;

-- migrate:down
-- The earlier function could fail, so a roll-back keeps this one.
SELECT 1;
