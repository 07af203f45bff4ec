-- migrate:up

-- Debits of several transfers in a few statements for all, each made or refused by itself.

-- The orders of a group whose key is theirs from now on: nobody used it before. Keys are taken in
-- their order, and before any account, as by everybody: so no two groups wait for each other.
CREATE FUNCTION payments.take_keys(orders payments.debit_order[]) RETURNS SETOF uuid
LANGUAGE sql
AS $$
    INSERT INTO payments.idempotency_key
        (shard, customer_id, idempotency_key, fingerprint, transfer_id)
    SELECT ledger.shard_of(o.account_id), o.customer_id, o.idempotency_key, o.fingerprint,
        o.transfer_id
    FROM unnest(orders) WITH ORDINALITY o
    ORDER BY 1, 2, 3, o.ordinality
    ON CONFLICT DO NOTHING
    RETURNING transfer_id
$$;

-- Keeps the transfers whose debit was posted, each with its event.
CREATE FUNCTION payments.keep_debited(
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
END $$;

-- Debits what can be debited. `outcome` is that of payments.debit, or REFUSED with the SQLSTATE
-- that it would raise, or NULL: its key was that of an order of this group that was refused, or
-- was freed just now, so it has to be sent again. A refusal leaves nothing behind, the key
-- included. An account that somebody holds for long refuses the group, lest all wait for one.
CREATE FUNCTION payments.debit_each(orders payments.debit_order[])
RETURNS TABLE (transfer_id uuid, outcome text, existing_transfer_id uuid, refusal text)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET lock_timeout = '250ms'
-- By key, row after row, whatever the statistics of a young table say.
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off
AS $$
#variable_conflict use_column
DECLARE
    taken constant uuid[] := ARRAY(SELECT payments.take_keys(orders));
    tried constant payments.debit_order[] := ARRAY(
        SELECT o FROM unnest(orders) o WHERE o.transfer_id = ANY (taken));
    verdicts constant ledger.verdict[] := ledger.post_group(ARRAY(
        SELECT ROW(o.transaction_id, 'INTERBANK_DEBIT', o.transfer_id, ARRAY[
            ledger.debit(o.account_id, o.currency, o.amount),
            ledger.credit_internal('ACH_CLEARING', o.currency, o.amount)])::ledger.posting
        FROM unnest(tried) o));
BEGIN
    PERFORM payments.keep_debited(tried, verdicts);
    DELETE FROM payments.idempotency_key k
    USING ROWS FROM (unnest(tried), unnest(verdicts)) o
    WHERE o.refusal IS NOT NULL AND k.shard = ledger.shard_of(o.account_id)
      AND k.customer_id = o.customer_id AND k.idempotency_key = o.idempotency_key;
    RETURN QUERY
    SELECT o.transfer_id, CASE WHEN o.refusal IS NULL THEN 'DEBITED' ELSE 'REFUSED' END,
        NULL::uuid, o.refusal
    FROM ROWS FROM (unnest(tried), unnest(verdicts)) o
    UNION ALL
    SELECT o.transfer_id,
        CASE WHEN k.fingerprint = o.fingerprint THEN 'EXISTING' WHEN k.fingerprint IS NOT NULL
            THEN 'REUSED' END,
        k.transfer_id, NULL
    FROM unnest(orders) o LEFT JOIN payments.idempotency_key k
      ON k.shard = ledger.shard_of(o.account_id) AND k.customer_id = o.customer_id
     AND k.idempotency_key = o.idempotency_key
    WHERE o.transfer_id <> ALL (taken);
END $$;

GRANT EXECUTE ON FUNCTION payments.take_keys(payments.debit_order[]),
    payments.keep_debited(payments.debit_order[], ledger.verdict[]),
    payments.debit_each(payments.debit_order[]) TO bp_payments;

-- migrate:down
DROP FUNCTION payments.debit_each, payments.keep_debited, payments.take_keys;
