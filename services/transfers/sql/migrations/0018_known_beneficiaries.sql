-- migrate:up

-- The first payment of a customer to an account of another customer needs a recent second factor.
-- So the posting notes the accounts that a customer has paid. The functions keep their arguments,
-- so processes of the previous version note them too. Earlier payments do not count, because their
-- customers presented no second factor.
SET ROLE transfers_owner;

CREATE TABLE transfers.known_beneficiary (
    shard       smallint NOT NULL,
    customer_id uuid NOT NULL,
    account_id  uuid NOT NULL,
    transfer_id uuid NOT NULL,
    PRIMARY KEY (shard, customer_id, account_id, transfer_id)
);
COMMENT ON TABLE transfers.known_beneficiary IS
    'The accounts of other customers that a customer has paid. A row is never changed or removed. '
    'Two first payments at the same time leave two rows, so that neither waits for the other.';
COMMENT ON COLUMN transfers.known_beneficiary.transfer_id IS 'The first transfer to the account.';

-- Returns the numbers of those accounts, in the arrays, that the customer has paid before. The
-- settings make PostgreSQL look up each row by its key, even when a young table has no statistics.
CREATE FUNCTION transfers.known_beneficiaries(customer_ids uuid[], account_ids uuid[])
RETURNS TABLE (number bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT o.number
    FROM unnest(customer_ids, account_ids) WITH ORDINALITY AS o (customer_id, account_id, number)
    WHERE EXISTS (SELECT FROM transfers.known_beneficiary k
        WHERE k.shard = ledger.shard_of(o.customer_id) AND k.customer_id = o.customer_id
          AND k.account_id = o.account_id);
END $$;

-- Posts a book transfer, once for each key of a customer. A second call with the key waits until
-- the first commits and then replays it. If the first is refused, it raises the refusal, its key is
-- rolled back, and the second call posts. The key of an interbank transfer is REUSED. Raises what
-- ledger.post raises. An account of another customer becomes known to the payer.
CREATE OR REPLACE FUNCTION transfers.post_book_transfer(
    customer_id uuid, idempotency_key text, fingerprint bytea,
    transfer_id uuid, account_id uuid, destination_customer_id uuid, destination_account_id uuid,
    currency text, amount bigint, memo text, create_time timestamptz, response bytea,
    event_id uuid, event_payload bytea, traceparent text
) RETURNS transfers.outcome
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '1s'
AS $$
DECLARE
    known transfers.outcome;
BEGIN
    LOOP
        INSERT INTO payments.idempotency_key
            (shard, customer_id, idempotency_key, fingerprint, transfer_id)
        VALUES (ledger.shard_of(post_book_transfer.customer_id), post_book_transfer.customer_id,
            post_book_transfer.idempotency_key, post_book_transfer.fingerprint,
            post_book_transfer.transfer_id)
        ON CONFLICT DO NOTHING;
        EXIT WHEN FOUND;
        known := transfers.replay(customer_id, idempotency_key, fingerprint);
        -- Compensating an interbank transfer may have freed the key in between: then try again.
        CONTINUE WHEN known.verdict IS NULL;
        RETURN known;
    END LOOP;
    INSERT INTO transfers.book_transfer (shard, transfer_id, customer_id, account_id,
        destination_customer_id, destination_account_id, currency, amount, memo, create_time,
        response)
    VALUES (ledger.shard_of(post_book_transfer.transfer_id), post_book_transfer.transfer_id,
        post_book_transfer.customer_id, post_book_transfer.account_id,
        post_book_transfer.destination_customer_id, post_book_transfer.destination_account_id,
        post_book_transfer.currency, post_book_transfer.amount, post_book_transfer.memo,
        post_book_transfer.create_time, post_book_transfer.response);
    PERFORM outbox.append('transfers', account_id, event_id, 'bp.transfers.v1.BookTransferPosted',
        transfer_id, event_payload, traceparent,
        ledger.post(transfer_id, 'BOOK_TRANSFER', transfer_id, ARRAY[
            ledger.debit(account_id, currency, amount),
            ledger.credit(destination_account_id, currency, amount)]));
    INSERT INTO transfers.known_beneficiary (shard, customer_id, account_id, transfer_id)
    SELECT ledger.shard_of(post_book_transfer.customer_id), post_book_transfer.customer_id,
        post_book_transfer.destination_account_id, post_book_transfer.transfer_id
    WHERE post_book_transfer.customer_id <> post_book_transfer.destination_customer_id
      AND NOT EXISTS (SELECT FROM transfers.known_beneficiary k
        WHERE k.shard = ledger.shard_of(post_book_transfer.customer_id)
          AND k.customer_id = post_book_transfer.customer_id
          AND k.account_id = post_book_transfer.destination_account_id);
    RETURN ROW('POSTED', response)::transfers.outcome;
END $$;

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

GRANT EXECUTE ON FUNCTION transfers.known_beneficiaries(uuid[], uuid[]) TO bp_transfers;
RESET ROLE;

-- migrate:down
DO $$
BEGIN
    IF EXISTS (SELECT FROM transfers.known_beneficiary) THEN
        RAISE EXCEPTION 'transfers.known_beneficiary holds beneficiaries'
            USING ERRCODE = 'object_in_use',
                HINT = 'Keep them with a new migration, or restore a backup.';
    END IF;
END $$;
SET ROLE transfers_owner;

-- Posts a book transfer, once for each key of a customer. A second call with the key waits until
-- the first commits and then replays it. If the first is refused, it raises the refusal, its key is
-- rolled back, and the second call posts. The key of an interbank transfer is REUSED. Raises what
-- ledger.post raises.
CREATE OR REPLACE FUNCTION transfers.post_book_transfer(
    customer_id uuid, idempotency_key text, fingerprint bytea,
    transfer_id uuid, account_id uuid, destination_customer_id uuid, destination_account_id uuid,
    currency text, amount bigint, memo text, create_time timestamptz, response bytea,
    event_id uuid, event_payload bytea, traceparent text
) RETURNS transfers.outcome
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '1s'
AS $$
DECLARE
    known transfers.outcome;
BEGIN
    LOOP
        INSERT INTO payments.idempotency_key
            (shard, customer_id, idempotency_key, fingerprint, transfer_id)
        VALUES (ledger.shard_of(post_book_transfer.customer_id), post_book_transfer.customer_id,
            post_book_transfer.idempotency_key, post_book_transfer.fingerprint,
            post_book_transfer.transfer_id)
        ON CONFLICT DO NOTHING;
        EXIT WHEN FOUND;
        known := transfers.replay(customer_id, idempotency_key, fingerprint);
        -- Compensating an interbank transfer may have freed the key in between: then try again.
        CONTINUE WHEN known.verdict IS NULL;
        RETURN known;
    END LOOP;
    INSERT INTO transfers.book_transfer (shard, transfer_id, customer_id, account_id,
        destination_customer_id, destination_account_id, currency, amount, memo, create_time,
        response)
    VALUES (ledger.shard_of(post_book_transfer.transfer_id), post_book_transfer.transfer_id,
        post_book_transfer.customer_id, post_book_transfer.account_id,
        post_book_transfer.destination_customer_id, post_book_transfer.destination_account_id,
        post_book_transfer.currency, post_book_transfer.amount, post_book_transfer.memo,
        post_book_transfer.create_time, post_book_transfer.response);
    PERFORM outbox.append('transfers', account_id, event_id, 'bp.transfers.v1.BookTransferPosted',
        transfer_id, event_payload, traceparent,
        ledger.post(transfer_id, 'BOOK_TRANSFER', transfer_id, ARRAY[
            ledger.debit(account_id, currency, amount),
            ledger.credit(destination_account_id, currency, amount)]));
    RETURN ROW('POSTED', response)::transfers.outcome;
END $$;

-- Posts each book transfer that can be posted. The verdict on a request is that of
-- transfers.post_book_transfer, or REFUSED with the SQLSTATE that it would raise. It is NULL when
-- the request has to be sent again, because its key was that of a refused request of this batch or
-- was freed a moment ago. A refusal leaves nothing behind. The settings make PostgreSQL look up
-- each row by its key, even when a young table has no statistics.
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

DROP FUNCTION transfers.known_beneficiaries(uuid[], uuid[]);
DROP TABLE transfers.known_beneficiary;
RESET ROLE;
