-- migrate:up

-- Transfers between two accounts of the bank. A transfer, its postings, its idempotency key and
-- its event commit together, in the one function below; the service's role can write no other way.

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'transfers_owner') THEN
        CREATE ROLE transfers_owner NOLOGIN;
    END IF;
END $$;

CREATE SCHEMA transfers AUTHORIZATION transfers_owner;
REVOKE ALL ON SCHEMA transfers FROM PUBLIC;
GRANT USAGE ON SCHEMA transfers TO bp_transfers, bp_judge;
GRANT USAGE ON SCHEMA ledger, outbox TO transfers_owner;
GRANT EXECUTE ON FUNCTION
    ledger.shard_of(uuid), ledger.id_floor(timestamptz),
    ledger.debit(uuid, text, bigint), ledger.credit(uuid, text, bigint),
    ledger.post(uuid, text, uuid, ledger.leg[]),
    outbox.append(text, uuid, uuid, text, uuid, bytea, text, ledger.posted[])
    TO transfers_owner;

SET ROLE transfers_owner;

ALTER DEFAULT PRIVILEGES FOR ROLE transfers_owner REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
ALTER DEFAULT PRIVILEGES FOR ROLE transfers_owner IN SCHEMA transfers
    GRANT SELECT ON TABLES TO bp_judge;

-- A posted transfer, for ever. The id is a UUIDv7 in the shard of the debited account, so ranges
-- of ids are ranges of time. `response` is the answer its caller got, to be given again.
CREATE TABLE transfers.book_transfer (
    shard                   smallint NOT NULL,
    transfer_id             uuid NOT NULL,
    customer_id             uuid NOT NULL,
    account_id              uuid NOT NULL,
    destination_customer_id uuid NOT NULL,
    destination_account_id  uuid NOT NULL,
    currency                text NOT NULL,
    amount                  bigint NOT NULL CHECK (amount > 0),
    memo                    text NOT NULL,
    create_time             timestamptz NOT NULL,
    response                bytea NOT NULL,
    PRIMARY KEY (shard, transfer_id),
    CONSTRAINT book_transfer_of_two_accounts CHECK (account_id <> destination_account_id)
) PARTITION BY RANGE (transfer_id);

-- What an account paid, newest first, page by page.
CREATE INDEX book_transfer_by_account
    ON transfers.book_transfer (shard, account_id, transfer_id DESC);

-- Which transfer an idempotency key made, for ever: a key that could be forgotten could pay
-- twice. It is unique over all time, so it cannot be cut into ranges of time; it is cut by shard
-- instead and holds no more than it must. The answer itself stands with the transfer.
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

-- Makes the monthly partitions from the month before `since` to `months_ahead` after it.
CREATE FUNCTION transfers.ensure_partitions(
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

SELECT transfers.ensure_partitions();

-- What became of a request: POSTED now, REPLAYED from an earlier one with this key, or REUSED,
-- the key belongs to another payload. `response` is the answer, NULL for REUSED.
CREATE TYPE transfers.outcome AS (verdict text, response bytea);

-- Finds what an idempotency key of a customer made; NULL when it made nothing. VOLATILE on
-- purpose: each statement in it sees what was committed while its caller waited.
CREATE FUNCTION transfers.replay(customer_id uuid, idempotency_key text, fingerprint bytea)
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

-- Posts a book transfer, once for each key of a customer. A second call with the key waits here
-- for the first to commit, then replays it; if the first is refused it raises, rolls its key
-- back, and the second goes on as if it were the first. Raises what ledger.post raises.
CREATE FUNCTION transfers.post_book_transfer(
    customer_id uuid, idempotency_key text, fingerprint bytea,
    transfer_id uuid, account_id uuid, destination_customer_id uuid, destination_account_id uuid,
    currency text, amount bigint, memo text, create_time timestamptz, response bytea,
    event_id uuid, event_payload bytea, traceparent text
) RETURNS transfers.outcome
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
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

GRANT EXECUTE ON FUNCTION
    transfers.ensure_partitions(integer, timestamptz),
    transfers.replay(uuid, text, bytea),
    transfers.post_book_transfer(uuid, text, bytea, uuid, uuid, uuid, uuid, text, bigint, text,
        timestamptz, bytea, uuid, bytea, text)
    TO bp_transfers;
GRANT SELECT ON transfers.book_transfer TO bp_transfers;

RESET ROLE;

-- The reads of the service compute a transfer's shard from its id.
GRANT EXECUTE ON FUNCTION ledger.shard_of(uuid) TO bp_transfers;

-- migrate:down
DROP SCHEMA transfers CASCADE;
