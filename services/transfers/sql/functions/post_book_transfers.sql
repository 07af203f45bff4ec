-- Posts each book transfer that can be posted. The verdict on a request is that of
-- transfers.post_book_transfer, or REFUSED with the SQLSTATE that it would raise. It is NULL when
-- the request has to be sent again, because its key was that of a refused request of this batch or
-- was freed a moment ago. A refusal leaves nothing behind. An account of another customer becomes
-- known to the payer. The settings make PostgreSQL look up each row by its key, even when a young
-- table has no statistics.
CREATE OR REPLACE FUNCTION transfers.post_book_transfers(requests transfers.request[])
RETURNS TABLE (transfer_id uuid, verdict text, response bytea, refusal text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '250ms'
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off
AS $$
#variable_conflict use_column
DECLARE
    taken constant uuid[] := chassis.take_keys('payments.idempotency_key', ARRAY(
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
    INSERT INTO transfers.known_beneficiary (shard, customer_id, account_id, transfer_id)
    SELECT ledger.shard_of(r.customer_id), r.customer_id, r.destination_account_id, r.transfer_id
    FROM ROWS FROM (unnest(tried), unnest(verdicts)) r
    WHERE r.refusal IS NULL AND r.customer_id <> r.destination_customer_id
      AND NOT EXISTS (SELECT FROM transfers.known_beneficiary k
        WHERE k.shard = ledger.shard_of(r.customer_id) AND k.customer_id = r.customer_id
          AND k.account_id = r.destination_account_id);
    DELETE FROM payments.idempotency_key k
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
