-- Trigger: refuses every change of an entry, for every role, the superuser included. The books are
-- append-only.
CREATE OR REPLACE FUNCTION ledger.append_only() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION 'table %.% is append-only: % is refused', TG_TABLE_SCHEMA, TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'BP008', HINT = 'Post a transaction that reverses the wrong one.';
END $$;
