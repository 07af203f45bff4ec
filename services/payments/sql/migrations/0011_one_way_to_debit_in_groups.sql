-- migrate:up

-- payments.debit_each took its place: one refusal no longer refuses a whole group.
DROP FUNCTION payments.debit_group(payments.debit_order[]);

-- migrate:down
CREATE FUNCTION payments.debit_group(orders payments.debit_order[])
RETURNS TABLE (transfer_id uuid, outcome text, existing_transfer_id uuid)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET lock_timeout = '250ms'
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT o.transfer_id, d.outcome, d.existing_transfer_id
    FROM unnest(orders) AS o, LATERAL payments.debit(o.transfer_id, o.customer_id, o.account_id,
        o.amount, o.currency, o.beneficiary_name, o.routing_number, o.account_number,
        o.account_type, o.memo, o.fraud_review, o.idempotency_key, o.fingerprint,
        o.correlation_id, o.traceparent, o.create_time, o.lease_owner, o.lease_until,
        o.transaction_id, o.event_id, o.payload) AS d;
END $$;
GRANT EXECUTE ON FUNCTION payments.debit_group(payments.debit_order[]) TO bp_payments;
