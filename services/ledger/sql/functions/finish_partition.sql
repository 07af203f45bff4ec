-- Gives a partition the statement triggers of ledger.entry, because a statement that names a
-- partition fires only the triggers of that partition.
CREATE OR REPLACE FUNCTION ledger.finish_partition(partition regclass) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    EXECUTE format('CREATE TRIGGER entries_balance AFTER INSERT ON %s '
        'REFERENCING NEW TABLE AS posted '
        'FOR EACH STATEMENT EXECUTE FUNCTION ledger.entries_balance()', partition);
    EXECUTE format('CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE '
        'ON %s FOR EACH STATEMENT EXECUTE FUNCTION ledger.append_only()', partition);
END $$;
