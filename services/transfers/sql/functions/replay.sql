-- Returns the outcome that an idempotency key of a customer has already, or NULL when the key is
-- new. The key of an interbank transfer is REUSED, because the fingerprints of the two requests
-- differ. It is VOLATILE so that each of its statements sees what was committed while its caller
-- waited.
CREATE OR REPLACE FUNCTION transfers.replay(
    customer_id uuid, idempotency_key text, fingerprint bytea
)
RETURNS transfers.outcome
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    known payments.idempotency_key;
    answer bytea;
BEGIN
    SELECT * INTO known FROM payments.idempotency_key k
    WHERE k.shard = ledger.shard_of(replay.customer_id)
      AND k.customer_id = replay.customer_id AND k.idempotency_key = replay.idempotency_key;
    IF NOT FOUND THEN
        RETURN NULL;
    ELSIF known.fingerprint <> fingerprint THEN
        RETURN ROW('REUSED', NULL)::transfers.outcome;
    END IF;
    SELECT t.response INTO STRICT answer FROM transfers.book_transfer t
    WHERE t.shard = ledger.shard_of(known.transfer_id) AND t.transfer_id = known.transfer_id;
    RETURN ROW('REPLAYED', answer)::transfers.outcome;
END $$;
