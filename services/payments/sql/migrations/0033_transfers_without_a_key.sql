-- migrate:up

-- Earlier versions accepted one key of a customer for an interbank transfer and for a book
-- transfer. Migration 0011 of transfers puts the keys of both services into one table, where only
-- one of the two transfers can have the key. The other one is recorded here, so that its missing
-- key is not reported as a loss.
SET ROLE payments_owner;

CREATE TABLE payments.transfer_without_key (
    shard       smallint NOT NULL,
    transfer_id uuid NOT NULL,
    PRIMARY KEY (shard, transfer_id)
);
COMMENT ON TABLE payments.transfer_without_key IS
    'Interbank and book transfers whose key belongs to another transfer: earlier versions accepted '
    'one key of a customer at both services. Only migrations add rows. Every other accepted '
    'transfer of the last 400 days has its key.';

RESET ROLE;

-- Normally the interbank transfer keeps the key. But a transfer to which the bank has given no
-- answer frees its key when it fails, and a repeated book transfer would then pay again. So the
-- book transfer gets the key of such an interbank transfer. A new database has no table with the
-- keys of book transfers.
DO $$
BEGIN
    IF to_regclass('transfers.idempotency_key') IS NULL THEN
        RETURN;
    END IF;
    WITH given AS (
        UPDATE payments.idempotency_key k
        SET fingerprint = b.fingerprint, transfer_id = b.transfer_id
        FROM transfers.idempotency_key b, payments.interbank_transfer t
        WHERE b.shard = k.shard AND b.customer_id = k.customer_id
          AND b.idempotency_key = k.idempotency_key
          AND t.shard = k.shard AND t.transfer_id = k.transfer_id AND t.accepted_response IS NULL
          AND t.state IN ('DEBITED', 'OUTCOME_UNKNOWN', 'CANCELLING', 'SUBMITTED')
        RETURNING t.shard, t.transfer_id
    )
    INSERT INTO payments.transfer_without_key (shard, transfer_id)
    SELECT shard, transfer_id FROM given;
END $$;

-- migrate:down
DROP TABLE payments.transfer_without_key;
