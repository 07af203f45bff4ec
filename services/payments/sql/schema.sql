-- Schema payments of database bp_write as the migrations of services/payments make it. `make gen`
-- writes this file and `make check` compares it; nothing runs it. Each function is in functions/.
-- The partitions that hold one month are left out; a function makes them.

CREATE SCHEMA payments;
ALTER SCHEMA payments OWNER TO postgres;

-- One debit of a group: the arguments of payments.debit.
CREATE TYPE payments.debit_order AS (
    transfer_id uuid,
    customer_id uuid,
    account_id uuid,
    amount bigint,
    currency text,
    beneficiary_name text,
    routing_number text,
    account_number text,
    account_type text,
    memo text,
    fraud_review boolean,
    idempotency_key text,
    fingerprint bytea,
    correlation_id text,
    traceparent text,
    create_time timestamp with time zone,
    lease_owner text,
    lease_until timestamp with time zone,
    transaction_id uuid,
    event_id uuid,
    payload bytea
);
ALTER TYPE payments.debit_order OWNER TO postgres;

-- A later step of one transfer that posts nothing, so the ledger cannot refuse it and it locks no
-- account.
CREATE TYPE payments.plain_step AS (
    transfer_id uuid,
    expected_version integer,
    next_state text,
    trace_number text,
    failure_reason text,
    return_code text,
    update_time timestamp with time zone,
    lease_until timestamp with time zone,
    event_id uuid,
    event_type text,
    payload bytea,
    response bytea
);
ALTER TYPE payments.plain_step OWNER TO postgres;

GRANT USAGE ON SCHEMA payments TO bp_payments;
GRANT USAGE ON SCHEMA payments TO bp_judge;
GRANT USAGE ON SCHEMA payments TO bp_transfers;

ALTER DEFAULT PRIVILEGES FOR ROLE postgres IN SCHEMA payments GRANT SELECT ON TABLES TO bp_judge;

-- Notices of the clearing house. KEPT waits for its transfer, APPLIED changed it, STALE came after
-- a later fact, CONFLICT contradicts what is known and waits for a person.
CREATE TABLE payments.ach_notice (
    notice_id text NOT NULL,
    type text NOT NULL,
    trace_number text NOT NULL,
    transfer_id uuid,
    return_code text NOT NULL,
    state text NOT NULL,
    receive_time timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT ach_notice_state_check CHECK ((state = ANY (ARRAY['KEPT'::text, 'APPLIED'::text,
        'STALE'::text, 'CONFLICT'::text])))
);
ALTER TABLE payments.ach_notice OWNER TO postgres;

ALTER TABLE ONLY payments.ach_notice
    ADD CONSTRAINT ach_notice_pkey PRIMARY KEY (notice_id);

-- For the notices that wait for their transfer.
CREATE INDEX ach_notice_kept ON payments.ach_notice USING btree (receive_time) WHERE (state =
    'KEPT'::text);

GRANT SELECT ON TABLE payments.ach_notice TO bp_judge;
GRANT SELECT,INSERT,UPDATE ON TABLE payments.ach_notice TO bp_payments;

-- One accepted request of a customer for each key, as long as the bank keeps transfers. A refused
-- request has no row. A failure that compensated before any answer removes the row.
CREATE TABLE payments.idempotency_key (
    shard smallint NOT NULL,
    customer_id uuid NOT NULL,
    idempotency_key text NOT NULL,
    fingerprint bytea NOT NULL,
    transfer_id uuid NOT NULL,
    CONSTRAINT key_in_shard_of_customer CHECK ((shard = (get_byte(uuid_send(customer_id), 15) &
        63)))
);
ALTER TABLE payments.idempotency_key OWNER TO postgres;

ALTER TABLE ONLY payments.idempotency_key
    ADD CONSTRAINT idempotency_key_pkey PRIMARY KEY (shard, customer_id, idempotency_key);

GRANT SELECT ON TABLE payments.idempotency_key TO bp_judge;
GRANT SELECT,INSERT,DELETE ON TABLE payments.idempotency_key TO bp_payments;

-- One row a transfer, which is also its saga. Monthly partitions: transfer_id is a UUIDv7, so a
-- range of ids is a range of time.
CREATE TABLE payments.interbank_transfer (
    shard smallint NOT NULL,
    transfer_id uuid NOT NULL,
    customer_id uuid NOT NULL,
    account_id uuid NOT NULL,
    amount bigint NOT NULL,
    currency text NOT NULL,
    beneficiary_name text NOT NULL,
    routing_number text NOT NULL,
    account_number text NOT NULL,
    account_type text NOT NULL,
    memo text NOT NULL,
    fraud_review boolean NOT NULL,
    state text NOT NULL,
    version integer DEFAULT 1 NOT NULL,
    trace_number text,
    failure_reason text,
    return_code text,
    idempotency_key text NOT NULL,
    accepted_response bytea,
    correlation_id text NOT NULL,
    traceparent text NOT NULL,
    create_time timestamp with time zone NOT NULL,
    update_time timestamp with time zone NOT NULL,
    lease_owner text NOT NULL,
    lease_until timestamp with time zone NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    submit_time timestamp with time zone,
    complete_time timestamp with time zone,
    return_time timestamp with time zone,
    CONSTRAINT interbank_transfer_amount_check CHECK ((amount > 0)),
    CONSTRAINT transfer_shard_of_account CHECK (((shard = (get_byte(uuid_send(transfer_id), 15) &
        63)) AND (shard = (get_byte(uuid_send(account_id), 15) & 63))))
)
PARTITION BY RANGE (transfer_id);
ALTER TABLE payments.interbank_transfer OWNER TO postgres;

ALTER TABLE ONLY payments.interbank_transfer
    ADD CONSTRAINT interbank_transfer_pkey PRIMARY KEY (shard, transfer_id);

-- For the transfers of an account, newest first.
CREATE INDEX interbank_transfer_by_account ON ONLY payments.interbank_transfer USING btree (shard,
    account_id, transfer_id);

CREATE INDEX interbank_transfer_by_state ON ONLY payments.interbank_transfer USING btree (shard,
    account_id, state, transfer_id);

-- For the transfer of a notice that has no key of the bank.
CREATE INDEX interbank_transfer_by_trace ON ONLY payments.interbank_transfer USING btree
    (trace_number) WHERE (trace_number IS NOT NULL);

-- For the transfers that a worker has to take up: they still owe the clearing house a question.
CREATE INDEX interbank_transfer_due ON ONLY payments.interbank_transfer USING btree (lease_until)
    WHERE (state = ANY (ARRAY['DEBITED'::text, 'OUTCOME_UNKNOWN'::text, 'CANCELLING'::text]));

-- For the submitted transfers without a notice, which the bank asks the clearing house about at
-- lease_until.
CREATE INDEX interbank_transfer_unsettled ON ONLY payments.interbank_transfer USING btree
    (lease_until) WHERE (state = 'SUBMITTED'::text);

GRANT SELECT ON TABLE payments.interbank_transfer TO bp_judge;
GRANT SELECT,INSERT,UPDATE ON TABLE payments.interbank_transfer TO bp_payments;

-- functions/advance.sql, owned by postgres
GRANT EXECUTE ON FUNCTION payments.advance(uuid, integer, text, text, text, text, timestamp with
    time zone, timestamp with time zone, text, uuid, uuid, text, bytea, boolean, bytea, text) TO
    bp_payments;

-- functions/advance_group.sql, owned by postgres
GRANT EXECUTE ON FUNCTION payments.advance_group(payments.plain_step[]) TO bp_payments;

-- functions/beneficiary.sql, owned by postgres
GRANT EXECUTE ON FUNCTION payments.beneficiary(uuid) TO bp_transfers;

-- functions/debit.sql, owned by postgres
GRANT EXECUTE ON FUNCTION payments.debit(uuid, uuid, uuid, bigint, text, text, text, text, text,
    text, boolean, text, bytea, text, text, timestamp with time zone, text, timestamp with time
    zone, uuid, uuid, bytea) TO bp_payments;

-- functions/debit_each.sql, owned by postgres
GRANT EXECUTE ON FUNCTION payments.debit_each(payments.debit_order[]) TO bp_payments;

-- functions/ensure_partitions.sql, owned by postgres
GRANT EXECUTE ON FUNCTION payments.ensure_partitions(integer, timestamp with time zone) TO
    bp_payments;

-- functions/find_keys.sql, owned by postgres
GRANT EXECUTE ON FUNCTION payments.find_keys(smallint[], uuid[], text[]) TO bp_payments;

-- functions/finish_partition.sql, owned by postgres
-- Only its owner may execute payments.finish_partition(regclass).

-- functions/free_refused_keys.sql, owned by postgres
GRANT EXECUTE ON FUNCTION payments.free_refused_keys(payments.debit_order[], ledger.verdict[]) TO
    bp_payments;

-- functions/keep_debited.sql, owned by postgres
GRANT EXECUTE ON FUNCTION payments.keep_debited(payments.debit_order[], ledger.verdict[]) TO
    bp_payments;

-- functions/outcomes_of_debits.sql, owned by postgres
GRANT EXECUTE ON FUNCTION payments.outcomes_of_debits(payments.debit_order[], ledger.verdict[]) TO
    bp_payments;

-- functions/outcomes_of_keys.sql, owned by postgres
GRANT EXECUTE ON FUNCTION payments.outcomes_of_keys(payments.debit_order[], uuid[]) TO bp_payments;

-- functions/post_transition.sql, owned by postgres
GRANT EXECUTE ON FUNCTION payments.post_transition(text, uuid, uuid, uuid, text, bigint) TO
    bp_payments;

-- functions/postings_of.sql, owned by postgres
GRANT EXECUTE ON FUNCTION payments.postings_of(payments.debit_order[]) TO bp_payments;
