-- Takes step 2 of the saga in one round trip: the key, the debit, the transfer and its event.
-- `outcome` is DEBITED, EXISTING (the key's transfer, for a replay) or REUSED (the key belongs to
-- another payload). A refusal of the ledger raises its SQLSTATE and leaves nothing behind, not
-- even the key.
CREATE OR REPLACE FUNCTION payments.debit(
    transfer_id uuid, customer_id uuid, account_id uuid, amount bigint, currency text,
    beneficiary_name text, routing_number text, account_number text, account_type text,
    memo text, fraud_review boolean, idempotency_key text, fingerprint bytea,
    correlation_id text, traceparent text, create_time timestamptz,
    lease_owner text, lease_until timestamptz,
    transaction_id uuid, event_id uuid, payload bytea,
    OUT outcome text, OUT existing_transfer_id uuid
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '1s'
AS $$
#variable_conflict use_variable
DECLARE
    home constant smallint := ledger.shard_of(account_id);
    digest constant bytea := payments.beneficiary_digest(customer_id, routing_number,
        account_number);
    held payments.idempotency_key;
BEGIN
    LOOP
        INSERT INTO payments.idempotency_key AS k
        VALUES (home, customer_id, idempotency_key, fingerprint, transfer_id)
        ON CONFLICT DO NOTHING;
        EXIT WHEN FOUND;
        SELECT k.* INTO held FROM payments.idempotency_key k
        WHERE k.shard = home AND k.customer_id = debit.customer_id
          AND k.idempotency_key = debit.idempotency_key;
        -- A compensation may have freed the key between the two statements: then try again.
        CONTINUE WHEN NOT FOUND;
        existing_transfer_id := held.transfer_id;
        outcome := CASE WHEN held.fingerprint = fingerprint THEN 'EXISTING' ELSE 'REUSED' END;
        RETURN;
    END LOOP;
    PERFORM outbox.append('payments', account_id, event_id, 'bp.payments.v1.TransferDebited',
        transfer_id, payload, traceparent,
        ledger.debit_to_internal(transaction_id, 'INTERBANK_DEBIT', transfer_id, account_id,
            currency, amount, 'ACH_CLEARING'));
    INSERT INTO payments.interbank_transfer (shard, transfer_id, customer_id, account_id, amount,
        currency, beneficiary_name, routing_number, account_number, account_type, memo,
        fraud_review, state, idempotency_key, correlation_id, traceparent, create_time,
        update_time, lease_owner, lease_until)
    VALUES (home, transfer_id, customer_id, account_id, amount, currency, beneficiary_name,
        routing_number, account_number, account_type, memo, fraud_review, 'DEBITED',
        idempotency_key, correlation_id, traceparent, create_time, create_time, lease_owner,
        lease_until);
    INSERT INTO payments.known_beneficiary (shard, customer_id, beneficiary, transfer_id)
    SELECT ledger.shard_of(customer_id), customer_id, digest, transfer_id
    WHERE NOT EXISTS (SELECT FROM payments.known_beneficiary k
        WHERE k.shard = ledger.shard_of(debit.customer_id)
          AND k.customer_id = debit.customer_id AND k.beneficiary = digest);
    outcome := 'DEBITED';
END $$;
