-- migrate:up

-- The first payment of a customer to an account at another bank needs a recent second factor. So
-- the debit notes the beneficiaries that a customer has paid. The functions keep their arguments,
-- so processes of the previous version note them too. Earlier payments do not count, because their
-- customers presented no second factor.
SET ROLE payments_owner;

CREATE TABLE payments.known_beneficiary (
    shard       smallint NOT NULL,
    customer_id uuid NOT NULL,
    beneficiary bytea NOT NULL,
    transfer_id uuid NOT NULL,
    PRIMARY KEY (shard, customer_id, beneficiary, transfer_id)
);
COMMENT ON TABLE payments.known_beneficiary IS
    'The accounts at other banks that a customer has paid. A row is never changed or removed, also '
    'when its transfer fails: the customer had confirmed the account with a second factor. Two '
    'first payments at the same time leave two rows, so that neither waits for the other.';
COMMENT ON COLUMN payments.known_beneficiary.beneficiary IS
    'Digest of routing number and account number, by payments.beneficiary_digest.';
COMMENT ON COLUMN payments.known_beneficiary.transfer_id IS 'The first transfer to the account.';

-- Returns the digest under which a beneficiary's account is known. It contains the customer, so
-- that the digests of two customers who pay the same account differ. PostgreSQL inlines it.
CREATE FUNCTION payments.beneficiary_digest(
    customer_id uuid, routing_number text, account_number text
) RETURNS bytea
LANGUAGE sql STABLE
AS $$
    SELECT sha256(uuid_send(customer_id)
        || convert_to(routing_number || '/' || account_number, 'UTF8'))
$$;

-- Takes step 2 of the saga in one round trip: the key, the debit, the transfer and its event.
-- `outcome` is DEBITED, EXISTING (the key's transfer, for a replay) or REUSED (the key belongs to
-- another payload). A refusal of the ledger raises its SQLSTATE and leaves nothing behind, not
-- even the key.
CREATE OR REPLACE FUNCTION payments.debit(
    transfer_id uuid, customer_id uuid, account_id uuid, amount bigint, currency text,
    beneficiary_name text, routing_number text, account_number text, account_type text,
    memo text, fraud_review boolean, idempotency_key text, fingerprint bytea,
    correlation_id text, traceparent text, create_time timestamptz,
    lease_owner text, lease_until timestamptz,
    transaction_id uuid, event_id uuid, payload bytea,
    OUT outcome text, OUT existing_transfer_id uuid
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '1s'
AS $$
#variable_conflict use_variable
DECLARE
    home constant smallint := ledger.shard_of(account_id);
    digest constant bytea := payments.beneficiary_digest(customer_id, routing_number,
        account_number);
    held payments.idempotency_key;
BEGIN
    LOOP
        INSERT INTO payments.idempotency_key AS k
        VALUES (home, customer_id, idempotency_key, fingerprint, transfer_id)
        ON CONFLICT DO NOTHING;
        EXIT WHEN FOUND;
        SELECT k.* INTO held FROM payments.idempotency_key k
        WHERE k.shard = home AND k.customer_id = debit.customer_id
          AND k.idempotency_key = debit.idempotency_key;
        -- A compensation may have freed the key between the two statements: then try again.
        CONTINUE WHEN NOT FOUND;
        existing_transfer_id := held.transfer_id;
        outcome := CASE WHEN held.fingerprint = fingerprint THEN 'EXISTING' ELSE 'REUSED' END;
        RETURN;
    END LOOP;
    PERFORM outbox.append('payments', account_id, event_id, 'bp.payments.v1.TransferDebited',
        transfer_id, payload, traceparent,
        ledger.debit_to_internal(transaction_id, 'INTERBANK_DEBIT', transfer_id, account_id,
            currency, amount, 'ACH_CLEARING'));
    INSERT INTO payments.interbank_transfer (shard, transfer_id, customer_id, account_id, amount,
        currency, beneficiary_name, routing_number, account_number, account_type, memo,
        fraud_review, state, idempotency_key, correlation_id, traceparent, create_time,
        update_time, lease_owner, lease_until)
    VALUES (home, transfer_id, customer_id, account_id, amount, currency, beneficiary_name,
        routing_number, account_number, account_type, memo, fraud_review, 'DEBITED',
        idempotency_key, correlation_id, traceparent, create_time, create_time, lease_owner,
        lease_until);
    INSERT INTO payments.known_beneficiary (shard, customer_id, beneficiary, transfer_id)
    SELECT ledger.shard_of(customer_id), customer_id, digest, transfer_id
    WHERE NOT EXISTS (SELECT FROM payments.known_beneficiary k
        WHERE k.shard = ledger.shard_of(debit.customer_id)
          AND k.customer_id = debit.customer_id AND k.beneficiary = digest);
    outcome := 'DEBITED';
END $$;

-- Writes a transfer and its event for each order whose debit was posted, and its beneficiary if the
-- customer has not paid it before.
CREATE OR REPLACE FUNCTION payments.keep_debited(
    orders payments.debit_order[], verdicts ledger.verdict[]
) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    INSERT INTO payments.interbank_transfer (shard, transfer_id, customer_id, account_id, amount,
        currency, beneficiary_name, routing_number, account_number, account_type, memo,
        fraud_review, state, idempotency_key, correlation_id, traceparent, create_time,
        update_time, lease_owner, lease_until)
    SELECT ledger.shard_of(o.account_id), o.transfer_id, o.customer_id, o.account_id, o.amount,
        o.currency, o.beneficiary_name, o.routing_number, o.account_number, o.account_type, o.memo,
        o.fraud_review, 'DEBITED', o.idempotency_key, o.correlation_id, o.traceparent,
        o.create_time, o.create_time, o.lease_owner, o.lease_until
    FROM ROWS FROM (unnest(orders), unnest(verdicts)) o WHERE o.refusal IS NULL;
    PERFORM outbox.append_group('payments', ARRAY(
        SELECT ROW(o.account_id, o.event_id, 'bp.payments.v1.TransferDebited', o.transfer_id,
            o.payload, o.traceparent, o.positions)::outbox.draft
        FROM ROWS FROM (unnest(orders), unnest(verdicts)) o WHERE o.refusal IS NULL));
    INSERT INTO payments.known_beneficiary (shard, customer_id, beneficiary, transfer_id)
    SELECT paid.shard, paid.customer_id, paid.beneficiary, paid.transfer_id
    FROM (
        SELECT ledger.shard_of(o.customer_id) AS shard, o.customer_id, o.transfer_id,
            payments.beneficiary_digest(o.customer_id, o.routing_number, o.account_number)
                AS beneficiary
        FROM ROWS FROM (unnest(orders), unnest(verdicts)) o WHERE o.refusal IS NULL) paid
    WHERE NOT EXISTS (SELECT FROM payments.known_beneficiary k
        WHERE k.shard = paid.shard AND k.customer_id = paid.customer_id
          AND k.beneficiary = paid.beneficiary);
END $$;

-- Returns the numbers of those beneficiaries, in the arrays, that the customer has paid before. The
-- settings make PostgreSQL look up each row by its key, even when a young table has no statistics.
CREATE FUNCTION payments.known_beneficiaries(
    customer_ids uuid[], routing_numbers text[], account_numbers text[]
) RETURNS TABLE (number bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT o.number
    FROM unnest(customer_ids, routing_numbers, account_numbers)
        WITH ORDINALITY AS o (customer_id, routing_number, account_number, number)
    WHERE EXISTS (SELECT FROM payments.known_beneficiary k
        WHERE k.shard = ledger.shard_of(o.customer_id) AND k.customer_id = o.customer_id
          AND k.beneficiary = payments.beneficiary_digest(o.customer_id, o.routing_number,
              o.account_number));
END $$;

GRANT EXECUTE ON FUNCTION payments.known_beneficiaries(uuid[], text[], text[]) TO bp_payments;
RESET ROLE;

-- migrate:down
DO $$
BEGIN
    IF EXISTS (SELECT FROM payments.known_beneficiary) THEN
        RAISE EXCEPTION 'payments.known_beneficiary holds beneficiaries'
            USING ERRCODE = 'object_in_use',
                HINT = 'Keep them with a new migration, or restore a backup.';
    END IF;
END $$;
SET ROLE payments_owner;

-- Takes step 2 of the saga in one round trip: the key, the debit, the transfer and its event.
-- `outcome` is DEBITED, EXISTING (the key's transfer, for a replay) or REUSED (the key belongs to
-- another payload). A refusal of the ledger raises its SQLSTATE and leaves nothing behind, not
-- even the key.
CREATE OR REPLACE FUNCTION payments.debit(
    transfer_id uuid, customer_id uuid, account_id uuid, amount bigint, currency text,
    beneficiary_name text, routing_number text, account_number text, account_type text,
    memo text, fraud_review boolean, idempotency_key text, fingerprint bytea,
    correlation_id text, traceparent text, create_time timestamptz,
    lease_owner text, lease_until timestamptz,
    transaction_id uuid, event_id uuid, payload bytea,
    OUT outcome text, OUT existing_transfer_id uuid
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '1s'
AS $$
#variable_conflict use_variable
DECLARE
    home constant smallint := ledger.shard_of(account_id);
    held payments.idempotency_key;
BEGIN
    LOOP
        INSERT INTO payments.idempotency_key AS k
        VALUES (home, customer_id, idempotency_key, fingerprint, transfer_id)
        ON CONFLICT DO NOTHING;
        EXIT WHEN FOUND;
        SELECT k.* INTO held FROM payments.idempotency_key k
        WHERE k.shard = home AND k.customer_id = debit.customer_id
          AND k.idempotency_key = debit.idempotency_key;
        -- A compensation may have freed the key between the two statements: then try again.
        CONTINUE WHEN NOT FOUND;
        existing_transfer_id := held.transfer_id;
        outcome := CASE WHEN held.fingerprint = fingerprint THEN 'EXISTING' ELSE 'REUSED' END;
        RETURN;
    END LOOP;
    PERFORM outbox.append('payments', account_id, event_id, 'bp.payments.v1.TransferDebited',
        transfer_id, payload, traceparent,
        ledger.debit_to_internal(transaction_id, 'INTERBANK_DEBIT', transfer_id, account_id,
            currency, amount, 'ACH_CLEARING'));
    INSERT INTO payments.interbank_transfer (shard, transfer_id, customer_id, account_id, amount,
        currency, beneficiary_name, routing_number, account_number, account_type, memo,
        fraud_review, state, idempotency_key, correlation_id, traceparent, create_time,
        update_time, lease_owner, lease_until)
    VALUES (home, transfer_id, customer_id, account_id, amount, currency, beneficiary_name,
        routing_number, account_number, account_type, memo, fraud_review, 'DEBITED',
        idempotency_key, correlation_id, traceparent, create_time, create_time, lease_owner,
        lease_until);
    outcome := 'DEBITED';
END $$;

-- Writes a transfer and its event for each order whose debit was posted.
CREATE OR REPLACE FUNCTION payments.keep_debited(
    orders payments.debit_order[], verdicts ledger.verdict[]
) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    INSERT INTO payments.interbank_transfer (shard, transfer_id, customer_id, account_id, amount,
        currency, beneficiary_name, routing_number, account_number, account_type, memo,
        fraud_review, state, idempotency_key, correlation_id, traceparent, create_time,
        update_time, lease_owner, lease_until)
    SELECT ledger.shard_of(o.account_id), o.transfer_id, o.customer_id, o.account_id, o.amount,
        o.currency, o.beneficiary_name, o.routing_number, o.account_number, o.account_type, o.memo,
        o.fraud_review, 'DEBITED', o.idempotency_key, o.correlation_id, o.traceparent,
        o.create_time, o.create_time, o.lease_owner, o.lease_until
    FROM ROWS FROM (unnest(orders), unnest(verdicts)) o WHERE o.refusal IS NULL;
    PERFORM outbox.append_group('payments', ARRAY(
        SELECT ROW(o.account_id, o.event_id, 'bp.payments.v1.TransferDebited', o.transfer_id,
            o.payload, o.traceparent, o.positions)::outbox.draft
        FROM ROWS FROM (unnest(orders), unnest(verdicts)) o WHERE o.refusal IS NULL));
END $$;

DROP FUNCTION payments.known_beneficiaries(uuid[], text[], text[]);
DROP FUNCTION payments.beneficiary_digest(uuid, text, text);
DROP TABLE payments.known_beneficiary;
RESET ROLE;
