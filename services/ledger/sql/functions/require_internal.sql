-- Raises BP009 when the books have no internal account of this code. NULL passes.
CREATE OR REPLACE FUNCTION ledger.require_internal(code text) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    IF code IS NOT NULL
       AND NOT EXISTS (SELECT FROM ledger.internal_account i WHERE i.code = require_internal.code)
    THEN
        RAISE EXCEPTION 'internal account % does not exist', code USING ERRCODE = 'BP009';
    END IF;
END $$;
