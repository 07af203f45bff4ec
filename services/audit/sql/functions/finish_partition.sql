-- Gives a partition what it does not inherit: a unique index over the chain, and the trigger that
-- refuses TRUNCATE.
CREATE OR REPLACE FUNCTION audit.finish_partition(partition regclass)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE UNIQUE INDEX ON %s (chain, sequence)', partition);
    EXECUTE format(
        'CREATE TRIGGER append_only_whole BEFORE TRUNCATE ON %s '
        'FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse()', partition);
END $$;
