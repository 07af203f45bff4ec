-- Posts what a transition of the saga moves. Returns an empty array where no customer account
-- moves.
CREATE OR REPLACE FUNCTION payments.post_transition(
    posting text, transaction_id uuid, transfer_id uuid, account_id uuid, currency text,
    amount bigint
) RETURNS ledger.posted[]
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN CASE posting
        WHEN 'REFUND_FROM_CLEARING' THEN ledger.credit_from_internal(transaction_id,
            'INTERBANK_REFUND', transfer_id, account_id, currency, amount, 'ACH_CLEARING')
        WHEN 'REFUND_FROM_SETTLEMENT' THEN ledger.credit_from_internal(transaction_id,
            'INTERBANK_RETURN', transfer_id, account_id, currency, amount, 'SETTLEMENT')
        WHEN 'SETTLE' THEN ledger.post(transaction_id, 'INTERBANK_SETTLE', transfer_id, ARRAY[
            ledger.debit_internal('ACH_CLEARING', currency, amount),
            ledger.credit_internal('SETTLEMENT', currency, amount)])
        ELSE '{}'::ledger.posted[]
    END;
END $$;
