-- Keeps a declined order on record and writes its event. Only payments.decline_group calls it, and
-- processes of the previous version during a rolling release. Nothing is locked, so the event is
-- ordered with no other event of the account.
CREATE OR REPLACE FUNCTION payments.decline(
    decline_id uuid, customer_id uuid, account_id uuid, amount bigint, currency text,
    beneficiary_name text, routing_number text, account_number text, reason text,
    fraud_transaction_id uuid, correlation_id text, decline_time timestamptz,
    event_id uuid, payload bytea, traceparent text
) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    INSERT INTO payments.declined_order (decline_id, customer_id, account_id, amount, currency,
        beneficiary_name, routing_number, account_number, reason, fraud_transaction_id,
        correlation_id, decline_time)
    VALUES (decline_id, customer_id, account_id, amount, currency, beneficiary_name,
        routing_number, account_number, reason, fraud_transaction_id, correlation_id,
        decline_time);
    PERFORM outbox.append('payments', account_id, event_id, 'bp.payments.v1.TransferDeclined',
        decline_id, payload, traceparent);
END $$;
