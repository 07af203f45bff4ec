-- Raises BP007 when the id is not a UUIDv7 or is not in the shard of the transaction's first
-- account.
CREATE OR REPLACE FUNCTION ledger.require_transaction_id(transaction_id uuid, first_account_id uuid)
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    IF uuid_extract_version(transaction_id) IS DISTINCT FROM 7 THEN
        RAISE EXCEPTION 'transaction id % is not a UUIDv7', transaction_id USING ERRCODE = 'BP007';
    ELSIF ledger.shard_of(transaction_id) <> ledger.shard_of(first_account_id) THEN
        RAISE EXCEPTION 'transaction % is in shard %, its first account is in shard %',
            transaction_id, ledger.shard_of(transaction_id), ledger.shard_of(first_account_id)
            USING ERRCODE = 'BP007';
    END IF;
END $$;
