-- migrate:up

-- Partitions and keys by the functions that all databases share.

DROP FUNCTION payments.ensure_partitions(integer);

-- Leaves room in each page of a partition, so that a step of a transfer is a HOT update.
CREATE FUNCTION payments.finish_partition(partition regclass) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    EXECUTE format('ALTER TABLE %s SET (fillfactor = 70)', partition);
END $$;

-- Makes the missing monthly partitions of payments.interbank_transfer, from the month before
-- `since` to `months_ahead` after it, and returns how many it made. The service calls it daily.
CREATE FUNCTION payments.ensure_partitions(
    months_ahead integer DEFAULT 3, since timestamptz DEFAULT now()
) RETURNS integer
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT chassis.ensure_months(
        'payments.interbank_transfer', months_ahead, since, 'payments.finish_partition')
$$;

REVOKE EXECUTE ON FUNCTION payments.ensure_partitions(integer, timestamptz),
    payments.finish_partition(regclass) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION payments.ensure_partitions(integer, timestamptz) TO bp_payments;

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

DROP FUNCTION payments.take_keys(payments.debit_order[]);

-- migrate:down
CREATE OR REPLACE FUNCTION payments.take_keys(orders payments.debit_order[]) RETURNS SETOF uuid
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
REVOKE EXECUTE ON FUNCTION payments.take_keys(payments.debit_order[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION payments.take_keys(payments.debit_order[]) TO bp_payments;
DROP FUNCTION payments.ensure_partitions(integer, timestamptz);
CREATE OR REPLACE FUNCTION payments.ensure_partitions(months_ahead integer DEFAULT 3) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC'
AS $$
DECLARE
    month timestamptz;
    partition text;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('payments.ensure_partitions', 0));
    FOR month IN SELECT generate_series(
        date_trunc('month', now()) - interval '1 month',
        date_trunc('month', now()) + make_interval(months => months_ahead), interval '1 month')
    LOOP
        partition := 'interbank_transfer_' || to_char(month, 'YYYY_MM');
        CONTINUE WHEN to_regclass(format('payments.%I', partition)) IS NOT NULL;
        EXECUTE format('CREATE TABLE payments.%I (LIKE payments.interbank_transfer INCLUDING ALL) '
            'WITH (fillfactor = 70)', partition);
        EXECUTE format('ALTER TABLE payments.interbank_transfer ATTACH PARTITION payments.%I '
            'FOR VALUES FROM (%L) TO (%L)', partition, ledger.id_floor(month),
            ledger.id_floor(month + interval '1 month'));
    END LOOP;
END $$;
REVOKE EXECUTE ON FUNCTION payments.ensure_partitions(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION payments.ensure_partitions(integer) TO bp_payments;
DROP FUNCTION payments.finish_partition(regclass);
