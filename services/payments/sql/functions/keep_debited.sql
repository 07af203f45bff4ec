-- Writes a transfer and its event for each order whose debit was posted, and its beneficiary if the
-- customer has not paid it before.
CREATE OR REPLACE FUNCTION payments.keep_debited(
    orders payments.debit_order[], verdicts ledger.verdict[]
) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    INSERT INTO payments.interbank_transfer (shard, transfer_id, customer_id, account_id, amount,
        currency, beneficiary_name, routing_number, account_number, account_type, memo,
        fraud_review, state, idempotency_key, correlation_id, traceparent, create_time,
        update_time, lease_owner, lease_until)
    SELECT ledger.shard_of(o.account_id), o.transfer_id, o.customer_id, o.account_id, o.amount,
        o.currency, o.beneficiary_name, o.routing_number, o.account_number, o.account_type, o.memo,
        o.fraud_review, 'DEBITED', o.idempotency_key, o.correlation_id, o.traceparent,
        o.create_time, o.create_time, o.lease_owner, o.lease_until
    FROM ROWS FROM (unnest(orders), unnest(verdicts)) o WHERE o.refusal IS NULL;
    PERFORM outbox.append_group('payments', ARRAY(
        SELECT ROW(o.account_id, o.event_id, 'bp.payments.v1.TransferDebited', o.transfer_id,
            o.payload, o.traceparent, o.positions)::outbox.draft
        FROM ROWS FROM (unnest(orders), unnest(verdicts)) o WHERE o.refusal IS NULL));
    INSERT INTO payments.known_beneficiary (shard, customer_id, beneficiary, transfer_id)
    SELECT paid.shard, paid.customer_id, paid.beneficiary, paid.transfer_id
    FROM (
        SELECT ledger.shard_of(o.customer_id) AS shard, o.customer_id, o.transfer_id,
            payments.beneficiary_digest(o.customer_id, o.routing_number, o.account_number)
                AS beneficiary
        FROM ROWS FROM (unnest(orders), unnest(verdicts)) o WHERE o.refusal IS NULL) paid
    WHERE NOT EXISTS (SELECT FROM payments.known_beneficiary k
        WHERE k.shard = paid.shard AND k.customer_id = paid.customer_id
          AND k.beneficiary = paid.beneficiary);
END $$;
