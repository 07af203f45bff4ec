-- Returns the rows of payments.debit_each for the orders that the ledger posted or refused. It is
-- STABLE so that PostgreSQL inlines it.
CREATE OR REPLACE FUNCTION payments.outcomes_of_debits(
    orders payments.debit_order[], verdicts ledger.verdict[]
) RETURNS TABLE (transfer_id uuid, outcome text, existing_transfer_id uuid, refusal text)
LANGUAGE sql STABLE
AS $$
    SELECT o.transfer_id, CASE WHEN o.refusal IS NULL THEN 'DEBITED' ELSE 'REFUSED' END,
        NULL::uuid, o.refusal
    FROM ROWS FROM (unnest(orders), unnest(verdicts)) o
$$;
