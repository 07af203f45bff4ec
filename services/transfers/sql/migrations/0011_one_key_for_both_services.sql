-- migrate:up

-- A customer's key names one request of the bank. Keys of book transfers move to the table of
-- interbank transfers, whose primary key then refuses a key at the second service, also when both
-- requests arrive at the same time. No statement of either service becomes longer.

GRANT USAGE ON SCHEMA payments TO transfers_owner;
GRANT SELECT, INSERT, DELETE ON payments.idempotency_key TO transfers_owner;

COMMENT ON TABLE payments.idempotency_key IS
    'One accepted request of a customer for each key, for 400 days: an interbank or a book '
    'transfer. A refused request has no row. A failure that compensated before any answer removes '
    'the row.';

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

-- Returns the outcome that an idempotency key of a customer has already, or NULL when the key is
-- new. The key of an interbank transfer is REUSED, because the fingerprints of the two requests
-- differ. It is VOLATILE so that each of its statements sees what was committed while its caller
-- waited.
CREATE OR REPLACE FUNCTION transfers.replay(
    customer_id uuid, idempotency_key text, fingerprint bytea
)
RETURNS transfers.outcome
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    known payments.idempotency_key;
    answer bytea;
BEGIN
    SELECT * INTO known FROM payments.idempotency_key k
    WHERE k.shard = ledger.shard_of(replay.customer_id)
      AND k.customer_id = replay.customer_id AND k.idempotency_key = replay.idempotency_key;
    IF NOT FOUND THEN
        RETURN NULL;
    ELSIF known.fingerprint <> fingerprint THEN
        RETURN ROW('REUSED', NULL)::transfers.outcome;
    END IF;
    SELECT t.response INTO STRICT answer FROM transfers.book_transfer t
    WHERE t.shard = ledger.shard_of(known.transfer_id) AND t.transfer_id = known.transfer_id;
    RETURN ROW('REPLAYED', answer)::transfers.outcome;
END $$;

-- Forgets keys that are older than 400 days, and returns how many old transfers it looked at, at
-- most `rows_max`. A transfer does not have its key, so all old keys of its customer are removed at
-- once, also those of interbank transfers, which end at the same age. It reads only transfers that
-- it has not looked at before, so its cost does not depend on how many the bank keeps. The service
-- calls it daily.
CREATE OR REPLACE FUNCTION transfers.forget_keys(rows_max integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off
AS $$
#variable_conflict use_column
DECLARE
    before constant uuid := chassis.id_floor(now() - interval '400 days');
    place record;
    old uuid[];
    payers uuid[];
    looked_at integer := 0;
BEGIN
    FOR place IN
        SELECT f.shard, f.through FROM transfers.keys_forgotten f
        WHERE f.through < before ORDER BY f.shard FOR UPDATE SKIP LOCKED
    LOOP
        EXIT WHEN looked_at >= rows_max;
        SELECT coalesce(array_agg(t.transfer_id ORDER BY t.transfer_id), '{}'),
            array_agg(DISTINCT t.customer_id)
        INTO old, payers
        FROM (
            SELECT b.transfer_id, b.customer_id FROM transfers.book_transfer b
            WHERE b.shard = place.shard AND b.transfer_id > place.through
              AND b.transfer_id < before
            ORDER BY b.transfer_id LIMIT rows_max - looked_at
        ) t;
        CONTINUE WHEN old = '{}';
        DELETE FROM payments.idempotency_key k
        USING unnest(payers) AS p (customer_id)
        WHERE k.shard = ledger.shard_of(p.customer_id) AND k.customer_id = p.customer_id
          AND k.transfer_id < before;
        UPDATE transfers.keys_forgotten f SET through = old[cardinality(old)]
        WHERE f.shard = place.shard;
        looked_at := looked_at + cardinality(old);
    END LOOP;
    RETURN looked_at;
END $$;

RESET ROLE;

-- Most keys are copied while book transfers continue; only the keys of the last hour are copied
-- under the lock. A call that waits for the lock then fails without the table, so no key is lost.
-- A key that both services had accepted stays that of its interbank transfer; a repeated book
-- transfer with such a key is refused, not posted again.
INSERT INTO payments.idempotency_key (shard, customer_id, idempotency_key, fingerprint, transfer_id)
SELECT k.shard, k.customer_id, k.idempotency_key, k.fingerprint, k.transfer_id
FROM transfers.idempotency_key k
ORDER BY k.shard, k.customer_id, k.idempotency_key
ON CONFLICT DO NOTHING;

LOCK TABLE transfers.idempotency_key IN ACCESS EXCLUSIVE MODE;

INSERT INTO payments.idempotency_key (shard, customer_id, idempotency_key, fingerprint, transfer_id)
SELECT k.shard, k.customer_id, k.idempotency_key, k.fingerprint, k.transfer_id
FROM transfers.idempotency_key k
WHERE k.transfer_id >= chassis.id_floor(now() - interval '1 hour')
ORDER BY k.shard, k.customer_id, k.idempotency_key
ON CONFLICT DO NOTHING;

DROP TABLE transfers.idempotency_key;

-- migrate:down
SET ROLE transfers_owner;

CREATE TABLE transfers.idempotency_key (
    shard           smallint NOT NULL,
    customer_id     uuid NOT NULL,
    idempotency_key text NOT NULL CHECK (octet_length(idempotency_key) BETWEEN 1 AND 255),
    fingerprint     bytea NOT NULL CHECK (octet_length(fingerprint) = 32),
    transfer_id     uuid NOT NULL,
    PRIMARY KEY (shard, customer_id, idempotency_key)
) PARTITION BY HASH (shard);
CREATE TABLE transfers.idempotency_key_0 PARTITION OF transfers.idempotency_key
    FOR VALUES WITH (MODULUS 4, REMAINDER 0);
CREATE TABLE transfers.idempotency_key_1 PARTITION OF transfers.idempotency_key
    FOR VALUES WITH (MODULUS 4, REMAINDER 1);
CREATE TABLE transfers.idempotency_key_2 PARTITION OF transfers.idempotency_key
    FOR VALUES WITH (MODULUS 4, REMAINDER 2);
CREATE TABLE transfers.idempotency_key_3 PARTITION OF transfers.idempotency_key
    FOR VALUES WITH (MODULUS 4, REMAINDER 3);
COMMENT ON TABLE transfers.idempotency_key IS
    'The transfer of each key of a customer, for 400 days: a forgotten key could pay twice. '
    'A key is unique over all time, so the partitions are by shard and not by time. The answer is '
    'with the transfer.';

CREATE OR REPLACE FUNCTION transfers.post_book_transfer(
    customer_id uuid, idempotency_key text, fingerprint bytea,
    transfer_id uuid, account_id uuid, destination_customer_id uuid, destination_account_id uuid,
    currency text, amount bigint, memo text, create_time timestamptz, response bytea,
    event_id uuid, event_payload bytea, traceparent text
) RETURNS transfers.outcome
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '1s'
AS $$
BEGIN
    INSERT INTO transfers.idempotency_key
        (shard, customer_id, idempotency_key, fingerprint, transfer_id)
    VALUES (ledger.shard_of(post_book_transfer.customer_id), post_book_transfer.customer_id,
        post_book_transfer.idempotency_key, post_book_transfer.fingerprint,
        post_book_transfer.transfer_id)
    ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        RETURN transfers.replay(customer_id, idempotency_key, fingerprint);
    END IF;
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

CREATE OR REPLACE FUNCTION transfers.replay(
    customer_id uuid, idempotency_key text, fingerprint bytea
)
RETURNS transfers.outcome
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    known transfers.idempotency_key;
    answer bytea;
BEGIN
    SELECT * INTO known FROM transfers.idempotency_key k
    WHERE k.shard = ledger.shard_of(replay.customer_id)
      AND k.customer_id = replay.customer_id AND k.idempotency_key = replay.idempotency_key;
    IF NOT FOUND THEN
        RETURN NULL;
    ELSIF known.fingerprint <> fingerprint THEN
        RETURN ROW('REUSED', NULL)::transfers.outcome;
    END IF;
    SELECT t.response INTO STRICT answer FROM transfers.book_transfer t
    WHERE t.shard = ledger.shard_of(known.transfer_id) AND t.transfer_id = known.transfer_id;
    RETURN ROW('REPLAYED', answer)::transfers.outcome;
END $$;

CREATE OR REPLACE FUNCTION transfers.forget_keys(rows_max integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off
AS $$
#variable_conflict use_column
DECLARE
    before constant uuid := chassis.id_floor(now() - interval '400 days');
    place record;
    old uuid[];
    payers uuid[];
    looked_at integer := 0;
BEGIN
    FOR place IN
        SELECT f.shard, f.through FROM transfers.keys_forgotten f
        WHERE f.through < before ORDER BY f.shard FOR UPDATE SKIP LOCKED
    LOOP
        EXIT WHEN looked_at >= rows_max;
        SELECT coalesce(array_agg(t.transfer_id ORDER BY t.transfer_id), '{}'),
            array_agg(DISTINCT t.customer_id)
        INTO old, payers
        FROM (
            SELECT b.transfer_id, b.customer_id FROM transfers.book_transfer b
            WHERE b.shard = place.shard AND b.transfer_id > place.through
              AND b.transfer_id < before
            ORDER BY b.transfer_id LIMIT rows_max - looked_at
        ) t;
        CONTINUE WHEN old = '{}';
        DELETE FROM transfers.idempotency_key k
        USING unnest(payers) AS p (customer_id)
        WHERE k.shard = ledger.shard_of(p.customer_id) AND k.customer_id = p.customer_id
          AND k.transfer_id < before;
        UPDATE transfers.keys_forgotten f SET through = old[cardinality(old)]
        WHERE f.shard = place.shard;
        looked_at := looked_at + cardinality(old);
    END LOOP;
    RETURN looked_at;
END $$;

RESET ROLE;

LOCK TABLE payments.idempotency_key IN ACCESS EXCLUSIVE MODE;

INSERT INTO transfers.idempotency_key
    (shard, customer_id, idempotency_key, fingerprint, transfer_id)
SELECT k.shard, k.customer_id, k.idempotency_key, k.fingerprint, k.transfer_id
FROM payments.idempotency_key k
JOIN transfers.book_transfer t
  ON t.shard = ledger.shard_of(k.transfer_id) AND t.transfer_id = k.transfer_id;

DELETE FROM payments.idempotency_key k
USING transfers.book_transfer t
WHERE t.shard = ledger.shard_of(k.transfer_id) AND t.transfer_id = k.transfer_id;

COMMENT ON TABLE payments.idempotency_key IS
    'One accepted request of a customer for each key, for 400 days. A refused request has no row. '
    'A failure that compensated before any answer removes the row.';
REVOKE SELECT, INSERT, DELETE ON payments.idempotency_key FROM transfers_owner;
REVOKE USAGE ON SCHEMA payments FROM transfers_owner;
