-- Returns the amount, or raises BP006 when it is not between 1 and the limit of a leg.
CREATE OR REPLACE FUNCTION ledger.require_amount(amount bigint) RETURNS bigint
LANGUAGE plpgsql IMMUTABLE
AS $$
BEGIN
    IF amount IS NULL OR amount NOT BETWEEN 1 AND 1000000000000000 THEN
        RAISE EXCEPTION 'a leg needs an amount above zero, not %', amount USING ERRCODE = 'BP006';
    END IF;
    RETURN amount;
END $$;
