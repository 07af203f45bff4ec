-- Returns the rows of payments.debit_each for the orders whose key was in use: EXISTING, REUSED,
-- or NULL when the key is free again. `taken` are the transfers of all other orders. It is STABLE
-- so that PostgreSQL inlines it.
CREATE OR REPLACE FUNCTION payments.outcomes_of_keys(orders payments.debit_order[], taken uuid[])
RETURNS TABLE (transfer_id uuid, outcome text, existing_transfer_id uuid, refusal text)
LANGUAGE sql STABLE
AS $$
    SELECT o.transfer_id,
        CASE WHEN k.fingerprint = o.fingerprint THEN 'EXISTING'
            WHEN k.fingerprint IS NOT NULL THEN 'REUSED' END,
        k.transfer_id, NULL::text
    FROM unnest(orders) o LEFT JOIN payments.idempotency_key k
      ON k.shard = ledger.shard_of(o.account_id) AND k.customer_id = o.customer_id
     AND k.idempotency_key = o.idempotency_key
    WHERE o.transfer_id <> ALL (taken)
$$;
