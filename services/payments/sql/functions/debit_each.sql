-- Debits each order that can be debited. `outcome` is that of payments.debit, or REFUSED with the
-- SQLSTATE that payments.debit would raise. It is NULL when the order has to be sent again: its
-- key was that of a refused order of this batch, or was freed a moment ago. A refusal leaves
-- nothing behind, not even the key. A lock held too long fails the batch, so that the others need
-- not wait; the callers then debit one by one. The settings make PostgreSQL look up each row by
-- its key, even when a young table has no statistics.
CREATE OR REPLACE FUNCTION payments.debit_each(orders payments.debit_order[])
RETURNS TABLE (transfer_id uuid, outcome text, existing_transfer_id uuid, refusal text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '250ms'
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off
AS $$
#variable_conflict use_column
DECLARE
    taken constant uuid[] := chassis.take_keys('payments.idempotency_key', ARRAY(
        SELECT ROW(ledger.shard_of(o.account_id), o.customer_id, o.idempotency_key,
            o.fingerprint, o.transfer_id)::chassis.request_key
        FROM unnest(orders) o));
    tried constant payments.debit_order[] := ARRAY(
        SELECT o FROM unnest(orders) o WHERE o.transfer_id = ANY (taken));
    verdicts constant ledger.verdict[] := ledger.post_group(payments.postings_of(tried));
BEGIN
    PERFORM payments.keep_debited(tried, verdicts);
    PERFORM payments.free_refused_keys(tried, verdicts);
    RETURN QUERY
    SELECT d.transfer_id, d.outcome, d.existing_transfer_id, d.refusal
    FROM payments.outcomes_of_debits(tried, verdicts) d
    UNION ALL
    SELECT k.transfer_id, k.outcome, k.existing_transfer_id, k.refusal
    FROM payments.outcomes_of_keys(orders, taken) k;
END $$;
