-- Returns what a statement shows of a transfer's beneficiary. Of the account number, that is only
-- the last four characters.
CREATE OR REPLACE FUNCTION payments.beneficiary(transfer_id uuid) RETURNS TABLE (
    name text, routing_number text, account_number_ending text
)
LANGUAGE sql STABLE SECURITY DEFINER ROWS 1 SET search_path = pg_catalog, pg_temp
AS $$
    SELECT t.beneficiary_name, t.routing_number, right(t.account_number, 4)
    FROM payments.interbank_transfer t
    WHERE t.shard = ledger.shard_of(beneficiary.transfer_id)
      AND t.transfer_id = beneficiary.transfer_id
$$;
