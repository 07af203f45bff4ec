-- migrate:up

-- The statement of an account, which transfers serves, names the beneficiary of an interbank
-- transfer. transfers gets this function and no privilege on the table.

-- Returns what a statement shows of a transfer's beneficiary: the account number only by its last
-- four characters.
CREATE FUNCTION payments.beneficiary(transfer_id uuid) RETURNS TABLE (
    name text, routing_number text, account_number_ending text
)
LANGUAGE sql STABLE SECURITY DEFINER ROWS 1 SET search_path = pg_catalog, pg_temp
AS $$
    SELECT t.beneficiary_name, t.routing_number, right(t.account_number, 4)
    FROM payments.interbank_transfer t
    WHERE t.shard = ledger.shard_of(beneficiary.transfer_id)
      AND t.transfer_id = beneficiary.transfer_id
$$;
REVOKE ALL ON FUNCTION payments.beneficiary(uuid) FROM PUBLIC;
GRANT USAGE ON SCHEMA payments TO bp_transfers;
GRANT EXECUTE ON FUNCTION payments.beneficiary(uuid) TO bp_transfers;

-- migrate:down
DROP FUNCTION payments.beneficiary(uuid);
REVOKE USAGE ON SCHEMA payments FROM bp_transfers;
