-- migrate:up

-- Partitions and keys by the functions that all databases share.

SET ROLE transfers_owner;

-- Makes the missing monthly partitions of transfers.book_transfer, from the month before `since` to
-- `months_ahead` after it, and returns how many it made. The service calls it daily.
CREATE OR REPLACE FUNCTION transfers.ensure_partitions(
    months_ahead integer DEFAULT 3, since timestamptz DEFAULT now()
) RETURNS integer
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT chassis.ensure_months('transfers.book_transfer', months_ahead, since)
$$;

-- Posts each book transfer that can be posted. The verdict on a request is that of
-- transfers.post_book_transfer, or REFUSED with the SQLSTATE that it would raise. It is NULL when
-- the request has to be sent again, because its key was that of a refused request of this group. A
-- refusal leaves nothing behind. The settings make PostgreSQL look up each row by its key, even
-- when a young table has no statistics.
CREATE OR REPLACE FUNCTION transfers.post_book_transfers(requests transfers.request[])
RETURNS TABLE (transfer_id uuid, verdict text, response bytea, refusal text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '250ms'
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off
AS $$
#variable_conflict use_column
DECLARE
    taken constant uuid[] := chassis.take_keys('transfers.idempotency_key', ARRAY(
        SELECT ROW(ledger.shard_of(r.customer_id), r.customer_id, r.idempotency_key,
            r.fingerprint, r.transfer_id)::chassis.request_key
        FROM unnest(requests) r));
    tried constant transfers.request[] := ARRAY(
        SELECT r FROM unnest(requests) r WHERE r.transfer_id = ANY (taken));
    verdicts constant ledger.verdict[] := ledger.post_group(ARRAY(
        SELECT ROW(r.transfer_id, 'BOOK_TRANSFER', r.transfer_id, ARRAY[
            ledger.debit(r.account_id, r.currency, r.amount),
            ledger.credit(r.destination_account_id, r.currency, r.amount)])::ledger.posting
        FROM unnest(tried) r));
BEGIN
    INSERT INTO transfers.book_transfer (shard, transfer_id, customer_id, account_id,
        destination_customer_id, destination_account_id, currency, amount, memo, create_time,
        response)
    SELECT ledger.shard_of(r.transfer_id), r.transfer_id, r.customer_id, r.account_id,
        r.destination_customer_id, r.destination_account_id, r.currency, r.amount, r.memo,
        r.create_time, r.response
    FROM ROWS FROM (unnest(tried), unnest(verdicts)) r WHERE r.refusal IS NULL;
    PERFORM outbox.append_group('transfers', ARRAY(
        SELECT ROW(r.account_id, r.event_id, 'bp.transfers.v1.BookTransferPosted', r.transfer_id,
            r.event_payload, r.traceparent, r.positions)::outbox.draft
        FROM ROWS FROM (unnest(tried), unnest(verdicts)) r WHERE r.refusal IS NULL));
    DELETE FROM transfers.idempotency_key k
    USING ROWS FROM (unnest(tried), unnest(verdicts)) r
    WHERE r.refusal IS NOT NULL AND k.shard = ledger.shard_of(r.customer_id)
      AND k.customer_id = r.customer_id AND k.idempotency_key = r.idempotency_key;
    RETURN QUERY
    SELECT r.transfer_id, CASE WHEN r.refusal IS NULL THEN 'POSTED' ELSE 'REFUSED' END,
        NULL::bytea, r.refusal
    FROM ROWS FROM (unnest(tried), unnest(verdicts)) r
    UNION ALL
    SELECT r.transfer_id, known.verdict, known.response, NULL
    FROM unnest(requests) r, transfers.replay(r.customer_id, r.idempotency_key, r.fingerprint) known
    WHERE r.transfer_id <> ALL (taken);
END $$;

DROP FUNCTION transfers.take_keys(transfers.request[]);

COMMENT ON TABLE transfers.idempotency_key IS
    'The transfer of each key of a customer. A key is kept forever: a forgotten key could pay '
    'twice. A key is unique over all time, so the partitions are by shard and not by time. The '
    'answer is with the transfer.';

RESET ROLE;

-- Here and not among the migrations of ledger, because the functions that called it are in the
-- schemas whose migrations run before this one.
DROP FUNCTION ledger.id_floor(timestamptz);

-- migrate:down
SET ROLE ledger_owner;
CREATE FUNCTION ledger.id_floor(instant timestamptz) RETURNS uuid
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$
    SELECT (lpad(to_hex(floor(extract(epoch FROM instant) * 1000)::bigint), 12, '0')
            || repeat('0', 20))::uuid
$$;
GRANT EXECUTE ON FUNCTION ledger.id_floor(timestamptz)
    TO bp_payments, bp_transfers, bp_relay, bp_judge, outbox_owner, transfers_owner;
RESET ROLE;
SET ROLE transfers_owner;
CREATE OR REPLACE FUNCTION transfers.take_keys(requests transfers.request[]) RETURNS SETOF uuid
LANGUAGE sql
AS $$
    INSERT INTO transfers.idempotency_key
        (shard, customer_id, idempotency_key, fingerprint, transfer_id)
    SELECT ledger.shard_of(r.customer_id), r.customer_id, r.idempotency_key, r.fingerprint,
        r.transfer_id
    FROM unnest(requests) WITH ORDINALITY r
    ORDER BY 1, 2, 3, r.ordinality
    ON CONFLICT DO NOTHING
    RETURNING transfer_id
$$;
CREATE OR REPLACE FUNCTION transfers.post_book_transfers(requests transfers.request[])
RETURNS TABLE (transfer_id uuid, verdict text, response bytea, refusal text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '250ms'
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off
AS $$
#variable_conflict use_column
DECLARE
    taken constant uuid[] := ARRAY(SELECT transfers.take_keys(requests));
    tried constant transfers.request[] := ARRAY(
        SELECT r FROM unnest(requests) r WHERE r.transfer_id = ANY (taken));
    verdicts constant ledger.verdict[] := ledger.post_group(ARRAY(
        SELECT ROW(r.transfer_id, 'BOOK_TRANSFER', r.transfer_id, ARRAY[
            ledger.debit(r.account_id, r.currency, r.amount),
            ledger.credit(r.destination_account_id, r.currency, r.amount)])::ledger.posting
        FROM unnest(tried) r));
BEGIN
    INSERT INTO transfers.book_transfer (shard, transfer_id, customer_id, account_id,
        destination_customer_id, destination_account_id, currency, amount, memo, create_time,
        response)
    SELECT ledger.shard_of(r.transfer_id), r.transfer_id, r.customer_id, r.account_id,
        r.destination_customer_id, r.destination_account_id, r.currency, r.amount, r.memo,
        r.create_time, r.response
    FROM ROWS FROM (unnest(tried), unnest(verdicts)) r WHERE r.refusal IS NULL;
    PERFORM outbox.append_group('transfers', ARRAY(
        SELECT ROW(r.account_id, r.event_id, 'bp.transfers.v1.BookTransferPosted', r.transfer_id,
            r.event_payload, r.traceparent, r.positions)::outbox.draft
        FROM ROWS FROM (unnest(tried), unnest(verdicts)) r WHERE r.refusal IS NULL));
    DELETE FROM transfers.idempotency_key k
    USING ROWS FROM (unnest(tried), unnest(verdicts)) r
    WHERE r.refusal IS NOT NULL AND k.shard = ledger.shard_of(r.customer_id)
      AND k.customer_id = r.customer_id AND k.idempotency_key = r.idempotency_key;
    RETURN QUERY
    SELECT r.transfer_id, CASE WHEN r.refusal IS NULL THEN 'POSTED' ELSE 'REFUSED' END,
        NULL::bytea, r.refusal
    FROM ROWS FROM (unnest(tried), unnest(verdicts)) r
    UNION ALL
    SELECT r.transfer_id, known.verdict, known.response, NULL
    FROM unnest(requests) r, transfers.replay(r.customer_id, r.idempotency_key, r.fingerprint) known
    WHERE r.transfer_id <> ALL (taken);
END $$;
CREATE OR REPLACE FUNCTION transfers.ensure_partitions(
    months_ahead integer DEFAULT 3, since timestamptz DEFAULT now()
) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC'
AS $$
DECLARE
    first_month timestamptz := date_trunc('month', since) - interval '1 month';
    month timestamptz;
    partition text;
    made integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('transfers.ensure_partitions', 0));
    FOR month IN
        SELECT generate_series(
            first_month,
            first_month + make_interval(months => months_ahead + 1),
            interval '1 month'
        )
    LOOP
        partition := 'book_transfer_' || to_char(month, 'YYYY_MM');
        CONTINUE WHEN to_regclass(format('transfers.%I', partition)) IS NOT NULL;
        EXECUTE format('CREATE TABLE transfers.%I (LIKE transfers.book_transfer INCLUDING ALL)',
            partition);
        EXECUTE format('ALTER TABLE transfers.book_transfer ATTACH PARTITION transfers.%I '
            'FOR VALUES FROM (%L) TO (%L)', partition, ledger.id_floor(month),
            ledger.id_floor(month + interval '1 month'));
        made := made + 1;
    END LOOP;
    RETURN made;
END $$;
RESET ROLE;
