-- Removes the keys of the refused orders, so that their callers may use them again.
CREATE OR REPLACE FUNCTION payments.free_refused_keys(
    orders payments.debit_order[], verdicts ledger.verdict[]
) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    DELETE FROM payments.idempotency_key k
    USING ROWS FROM (unnest(orders), unnest(verdicts)) o
    WHERE o.refusal IS NOT NULL AND k.shard = ledger.shard_of(o.account_id)
      AND k.customer_id = o.customer_id AND k.idempotency_key = o.idempotency_key;
END $$;
