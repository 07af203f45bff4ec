-- migrate:up

-- payments.debit_each by its steps. What it returns and the order of locks are as before.

-- Returns the ledger postings of some orders: each takes the amount from the customer and gives it
-- to ACH_CLEARING.
CREATE FUNCTION payments.postings_of(orders payments.debit_order[])
RETURNS ledger.posting[]
LANGUAGE plpgsql
AS $$
BEGIN
    RETURN ARRAY(
        SELECT ROW(o.transaction_id, 'INTERBANK_DEBIT', o.transfer_id, ARRAY[
            ledger.debit(o.account_id, o.currency, o.amount),
            ledger.credit_internal('ACH_CLEARING', o.currency, o.amount)])::ledger.posting
        FROM unnest(orders) o);
END $$;

-- Removes the keys of the refused orders, so that their callers may use them again.
CREATE FUNCTION payments.free_refused_keys(
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

-- Returns the rows of payments.debit_each for the orders that the ledger posted or refused. It is
-- STABLE so that PostgreSQL inlines it.
CREATE FUNCTION payments.outcomes_of_debits(
    orders payments.debit_order[], verdicts ledger.verdict[]
) RETURNS TABLE (transfer_id uuid, outcome text, existing_transfer_id uuid, refusal text)
LANGUAGE sql STABLE
AS $$
    SELECT o.transfer_id, CASE WHEN o.refusal IS NULL THEN 'DEBITED' ELSE 'REFUSED' END,
        NULL::uuid, o.refusal
    FROM ROWS FROM (unnest(orders), unnest(verdicts)) o
$$;

-- Returns the rows of payments.debit_each for the orders whose key was in use: EXISTING, REUSED,
-- or NULL when the key is free again. `taken` are the transfers of all other orders. It is STABLE
-- so that PostgreSQL inlines it.
CREATE FUNCTION payments.outcomes_of_keys(orders payments.debit_order[], taken uuid[])
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

-- Debits each order that can be debited. `outcome` is that of payments.debit, or REFUSED with the
-- SQLSTATE that payments.debit would raise. It is NULL when the order has to be sent again: its
-- key was that of a refused order of this group, or was freed a moment ago. A refusal leaves
-- nothing behind, not even the key. A lock held too long fails the group, so that the others need
-- not wait; the callers then debit one by one. The settings make PostgreSQL look up each row by
-- its key, even when a young table has no statistics.
CREATE OR REPLACE FUNCTION payments.debit_each(orders payments.debit_order[])
RETURNS TABLE (transfer_id uuid, outcome text, existing_transfer_id uuid, refusal text)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET lock_timeout = '250ms'
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off
AS $$
#variable_conflict use_column
DECLARE
    taken constant uuid[] := ARRAY(SELECT payments.take_keys(orders));
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

GRANT EXECUTE ON FUNCTION payments.postings_of(payments.debit_order[]),
    payments.free_refused_keys(payments.debit_order[], ledger.verdict[]),
    payments.outcomes_of_debits(payments.debit_order[], ledger.verdict[]),
    payments.outcomes_of_keys(payments.debit_order[], uuid[]) TO bp_payments;

-- bp_judge could execute the functions of this schema too: default privileges of one schema cannot
-- take away what PostgreSQL gives to PUBLIC. bp_payments has a grant of its own on each.
REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA payments FROM PUBLIC;

-- migrate:down
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA payments TO PUBLIC;

-- Debits what can be debited. `outcome` is that of payments.debit, or REFUSED with the SQLSTATE
-- that it would raise, or NULL: its key was that of an order of this group that was refused, or
-- was freed just now, so it has to be sent again. A refusal leaves nothing behind, the key
-- included. An account that somebody holds for long refuses the group, lest all wait for one.
CREATE OR REPLACE FUNCTION payments.debit_each(orders payments.debit_order[])
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

DROP FUNCTION payments.outcomes_of_keys, payments.outcomes_of_debits,
    payments.free_refused_keys, payments.postings_of;
