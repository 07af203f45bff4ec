-- Raises BP006 or BP009 when a leg is malformed, and BP005 when the legs do not sum to zero in
-- each currency.
CREATE OR REPLACE FUNCTION ledger.require_legs(transaction_id uuid, legs ledger.leg[])
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    leg ledger.leg;
    unbalanced record;
BEGIN
    IF coalesce(cardinality(legs), 0) NOT BETWEEN 2 AND 32 THEN
        RAISE EXCEPTION 'a posting has 2 to 32 legs, not %', coalesce(cardinality(legs), 0)
            USING ERRCODE = 'BP006';
    END IF;
    FOREACH leg IN ARRAY legs LOOP
        IF leg.side IS NULL OR leg.currency IS NULL OR leg.amount IS NULL
           OR leg.amount NOT BETWEEN 1 AND 1000000000000000
           OR num_nonnulls(leg.account_id, leg.internal_code) <> 1 THEN
            RAISE EXCEPTION 'leg % needs a side, a currency, one account and an amount above zero',
                leg USING ERRCODE = 'BP006';
        END IF;
        PERFORM ledger.require_internal(leg.internal_code);
    END LOOP;
    SELECT l.currency, sum(CASE l.side WHEN 'CREDIT' THEN l.amount ELSE -l.amount END) AS amount
    INTO unbalanced
    FROM unnest(legs) l GROUP BY l.currency
    HAVING sum(CASE l.side WHEN 'CREDIT' THEN l.amount ELSE -l.amount END) <> 0 LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'transaction % is off by % %: its legs must sum to zero',
            transaction_id, unbalanced.amount, unbalanced.currency USING ERRCODE = 'BP005';
    END IF;
END $$;
