-- migrate:up

-- Interbank transfers: the saga's durable state, the idempotency keys and the clearing house's
-- notices. Everything of one transfer lies in one shard. The functions run as bp_payments,
-- who holds no right on the ledger's tables but to execute its functions.

CREATE SCHEMA payments;
GRANT USAGE ON SCHEMA payments TO bp_payments, bp_judge;
ALTER DEFAULT PRIVILEGES IN SCHEMA payments REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
ALTER DEFAULT PRIVILEGES IN SCHEMA payments GRANT SELECT ON TABLES TO bp_judge;

-- One row a transfer, which is also its saga. The id is a UUIDv7, so ranges of it are time.
CREATE TABLE payments.interbank_transfer (
    shard             smallint NOT NULL,
    transfer_id       uuid NOT NULL,
    customer_id       uuid NOT NULL,
    account_id        uuid NOT NULL,
    amount            bigint NOT NULL CHECK (amount > 0),
    currency          text NOT NULL,
    beneficiary_name  text NOT NULL,
    routing_number    text NOT NULL,
    account_number    text NOT NULL,
    account_type      text NOT NULL,
    memo              text NOT NULL,
    fraud_review      boolean NOT NULL,
    state             text NOT NULL,
    version           integer NOT NULL DEFAULT 1,
    trace_number      text,
    failure_reason    text,
    return_code       text,
    idempotency_key   text NOT NULL,
    accepted_response bytea,
    correlation_id    text NOT NULL,
    traceparent       text NOT NULL,
    create_time       timestamptz NOT NULL,
    update_time       timestamptz NOT NULL,
    lease_owner       text NOT NULL,
    lease_until       timestamptz NOT NULL,
    attempts          integer NOT NULL DEFAULT 0,
    PRIMARY KEY (shard, transfer_id),
    -- ledger.shard_of written out, as in ledger.account: cheaper at each statement.
    CONSTRAINT transfer_shard_of_account CHECK (
        shard = (get_byte(uuid_send(transfer_id), 15) & 63)
        AND shard = (get_byte(uuid_send(account_id), 15) & 63))
) PARTITION BY RANGE (transfer_id);

-- What a worker takes up: the transfers that still owe the clearing house a question.
CREATE INDEX interbank_transfer_due ON payments.interbank_transfer (lease_until)
    WHERE state IN ('DEBITED', 'OUTCOME_UNKNOWN', 'CANCELLING');

-- An account's list, newest first.
CREATE INDEX interbank_transfer_by_account
    ON payments.interbank_transfer (shard, account_id, transfer_id);

-- Finds the transfer of a notice that names no key of ours.
CREATE INDEX interbank_transfer_by_trace ON payments.interbank_transfer (trace_number)
    WHERE trace_number IS NOT NULL;

-- A key names one accepted request of one customer, for as long as the bank keeps transfers.
-- A refusal never gets here; a compensated failure removes its row again.
CREATE TABLE payments.idempotency_key (
    shard           smallint NOT NULL,
    customer_id     uuid NOT NULL,
    idempotency_key text NOT NULL,
    fingerprint     bytea NOT NULL,
    transfer_id     uuid NOT NULL,
    PRIMARY KEY (shard, customer_id, idempotency_key)
);

-- What the clearing house told. KEPT waits for its transfer, APPLIED changed it, STALE came after
-- a later fact, CONFLICT says what cannot be and waits for a person.
CREATE TABLE payments.ach_notice (
    notice_id    text PRIMARY KEY,
    type         text NOT NULL,
    trace_number text NOT NULL,
    transfer_id  uuid,
    return_code  text NOT NULL,
    state        text NOT NULL CHECK (state IN ('KEPT', 'APPLIED', 'STALE', 'CONFLICT')),
    receive_time timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX ach_notice_kept ON payments.ach_notice (receive_time) WHERE state = 'KEPT';

-- Makes the monthly partitions from last month to `months_ahead` after this one.
CREATE FUNCTION payments.ensure_partitions(months_ahead integer DEFAULT 3) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC'
AS $$
DECLARE
    month timestamptz;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('payments.ensure_partitions', 0));
    FOR month IN SELECT generate_series(
        date_trunc('month', now()) - interval '1 month',
        date_trunc('month', now()) + make_interval(months => months_ahead), interval '1 month')
    LOOP
        EXECUTE format(
            'CREATE TABLE IF NOT EXISTS payments.%I PARTITION OF payments.interbank_transfer '
            'FOR VALUES FROM (%L) TO (%L) WITH (fillfactor = 70)',
            'interbank_transfer_' || to_char(month, 'YYYY_MM'),
            ledger.id_floor(month), ledger.id_floor(month + interval '1 month'));
    END LOOP;
END $$;

SELECT payments.ensure_partitions();

-- Step 2 of the saga in one round trip: the key, the debit, the transfer, its event. `outcome`
-- is DEBITED, EXISTING (the key's transfer, for a replay) or REUSED (another payload). A refusal
-- of the ledger raises and leaves nothing behind, the key included.
CREATE FUNCTION payments.debit(
    transfer_id uuid, customer_id uuid, account_id uuid, amount bigint, currency text,
    beneficiary_name text, routing_number text, account_number text, account_type text,
    memo text, fraud_review boolean, idempotency_key text, fingerprint bytea,
    correlation_id text, traceparent text, create_time timestamptz,
    lease_owner text, lease_until timestamptz,
    transaction_id uuid, event_id uuid, payload bytea,
    OUT outcome text, OUT existing_transfer_id uuid
)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
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

-- Every later step of the saga in one round trip: the state, the posting that the transition
-- table names, the event, the key and the notice that caused it. Does nothing and returns false
-- when the transfer is not at `expected_version` any more, so a step may be repeated at any time.
-- `posting` is NULL, SETTLE, REFUND_FROM_CLEARING or REFUND_FROM_SETTLEMENT.
CREATE FUNCTION payments.advance(
    transfer_id uuid, expected_version integer, next_state text, trace_number text,
    failure_reason text, return_code text, update_time timestamptz, lease_until timestamptz,
    posting text, transaction_id uuid, event_id uuid, event_type text, payload bytea,
    frees_key boolean, response bytea, notice_id text,
    OUT advanced boolean, OUT accepted_response bytea
)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    moved record;
BEGIN
    UPDATE payments.interbank_transfer t
    SET state = next_state, version = t.version + 1, trace_number = advance.trace_number,
        failure_reason = advance.failure_reason, return_code = advance.return_code,
        update_time = advance.update_time, lease_until = advance.lease_until, attempts = 0,
        accepted_response = coalesce(t.accepted_response, response)
    WHERE t.shard = ledger.shard_of(advance.transfer_id) AND t.transfer_id = advance.transfer_id
      AND t.version = expected_version
    RETURNING t.shard, t.customer_id, t.account_id, t.amount, t.currency, t.idempotency_key,
        t.traceparent, t.accepted_response
    INTO moved;
    advanced := FOUND;
    IF NOT advanced THEN
        RETURN;
    END IF;
    accepted_response := moved.accepted_response;
    PERFORM outbox.append('payments', moved.account_id, event_id, event_type, transfer_id,
        payload, moved.traceparent,
        payments.post_transition(posting, transaction_id, transfer_id, moved.account_id,
            moved.currency, moved.amount));
    IF frees_key THEN
        DELETE FROM payments.idempotency_key k
        WHERE k.shard = moved.shard AND k.customer_id = moved.customer_id
          AND k.idempotency_key = moved.idempotency_key
          AND k.transfer_id = advance.transfer_id;
    END IF;
    IF notice_id IS NOT NULL THEN
        UPDATE payments.ach_notice n SET state = 'APPLIED' WHERE n.notice_id = advance.notice_id;
    END IF;
END $$;

-- The posting of a transition; the positions are empty where no customer account moved.
CREATE FUNCTION payments.post_transition(
    posting text, transaction_id uuid, transfer_id uuid, account_id uuid, currency text,
    amount bigint
) RETURNS ledger.posted[]
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN CASE posting
        WHEN 'REFUND_FROM_CLEARING' THEN ledger.credit_from_internal(transaction_id,
            'INTERBANK_REFUND', transfer_id, account_id, currency, amount, 'ACH_CLEARING')
        WHEN 'REFUND_FROM_SETTLEMENT' THEN ledger.credit_from_internal(transaction_id,
            'INTERBANK_RETURN', transfer_id, account_id, currency, amount, 'SETTLEMENT')
        WHEN 'SETTLE' THEN ledger.post(transaction_id, 'INTERBANK_SETTLE', transfer_id, ARRAY[
            ledger.debit_internal('ACH_CLEARING', currency, amount),
            ledger.credit_internal('SETTLEMENT', currency, amount)])
        ELSE '{}'::ledger.posted[]
    END;
END $$;

GRANT SELECT, INSERT, UPDATE ON payments.interbank_transfer, payments.ach_notice TO bp_payments;
GRANT SELECT, INSERT, DELETE ON payments.idempotency_key TO bp_payments;
GRANT EXECUTE ON FUNCTION
    payments.ensure_partitions(integer),
    payments.debit(uuid, uuid, uuid, bigint, text, text, text, text, text, text, boolean, text,
        bytea, text, text, timestamptz, text, timestamptz, uuid, uuid, bytea),
    payments.advance(uuid, integer, text, text, text, text, timestamptz, timestamptz, text, uuid,
        uuid, text, bytea, boolean, bytea, text),
    payments.post_transition(text, uuid, uuid, uuid, text, bigint)
    TO bp_payments;

-- migrate:down
DROP SCHEMA payments CASCADE;
