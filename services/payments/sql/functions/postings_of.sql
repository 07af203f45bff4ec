-- Returns the ledger postings of some orders: each takes the amount from the customer and gives it
-- to ACH_CLEARING.
CREATE OR REPLACE FUNCTION payments.postings_of(orders payments.debit_order[])
RETURNS ledger.posting[]
LANGUAGE plpgsql
AS $$
BEGIN
    RETURN ARRAY(
        SELECT ROW(o.transaction_id, 'INTERBANK_DEBIT', o.transfer_id, ARRAY[
            ledger.debit(o.account_id, o.currency, o.amount),
            ledger.credit_internal('ACH_CLEARING', o.currency, o.amount)])::ledger.posting
        FROM unnest(orders) o);
END $$;
