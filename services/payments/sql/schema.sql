-- Schema payments of database bp_write as the migrations of services/payments make it. `make gen`
-- writes this file and `make check` compares it; nothing runs it. Each function is in functions/.
-- The partitions that hold one month are left out; a function makes them.

CREATE SCHEMA payments;
ALTER SCHEMA payments OWNER TO payments_owner;

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
ALTER TYPE payments.debit_order OWNER TO payments_owner;

-- The arguments of payments.decline, for decline_group.
CREATE TYPE payments.decline_row AS (
    decline_id uuid,
    customer_id uuid,
    account_id uuid,
    amount bigint,
    currency text,
    beneficiary_name text,
    routing_number text,
    account_number text,
    reason text,
    fraud_transaction_id uuid,
    correlation_id text,
    decline_time timestamp with time zone,
    event_id uuid,
    payload bytea,
    traceparent text
);
ALTER TYPE payments.decline_row OWNER TO payments_owner;

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
ALTER TYPE payments.plain_step OWNER TO payments_owner;

GRANT USAGE ON SCHEMA payments TO bp_payments;
GRANT USAGE ON SCHEMA payments TO bp_judge;
GRANT USAGE ON SCHEMA payments TO bp_transfers;
GRANT USAGE ON SCHEMA payments TO bp_reviewer;
GRANT USAGE ON SCHEMA payments TO transfers_owner;

ALTER DEFAULT PRIVILEGES FOR ROLE payments_owner IN SCHEMA payments GRANT SELECT ON TABLES TO
    bp_judge;

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
    content bytea,
    CONSTRAINT ach_notice_state_check CHECK ((state = ANY (ARRAY['KEPT'::text, 'APPLIED'::text,
        'STALE'::text, 'CONFLICT'::text])))
);
ALTER TABLE payments.ach_notice OWNER TO payments_owner;

ALTER TABLE ONLY payments.ach_notice
    ADD CONSTRAINT ach_notice_pkey PRIMARY KEY (notice_id);

-- For the notices that wait for their transfer.
CREATE INDEX ach_notice_kept ON payments.ach_notice USING btree (receive_time) WHERE (state =
    'KEPT'::text);

ALTER TABLE payments.ach_notice ENABLE ROW LEVEL SECURITY;

CREATE POLICY keep ON payments.ach_notice FOR INSERT WITH CHECK ((state = ANY (ARRAY['KEPT'::text,
    'CONFLICT'::text])));

CREATE POLICY keep_again ON payments.ach_notice FOR UPDATE USING ((state = 'CONFLICT'::text)) WITH
    CHECK ((state = 'CONFLICT'::text));

CREATE POLICY read ON payments.ach_notice FOR SELECT USING (true);

GRANT SELECT ON TABLE payments.ach_notice TO bp_judge;
GRANT SELECT,INSERT ON TABLE payments.ach_notice TO bp_payments;

GRANT UPDATE(state) ON TABLE payments.ach_notice TO bp_payments;

GRANT UPDATE(receive_time) ON TABLE payments.ach_notice TO bp_payments;

-- Orders that a control of the bank declined (fraud, frozen account, largest amount), one row for
-- each order and reason, up to a limit for each customer and hour. Monthly partitions: decline_id
-- is a UUIDv7. They are dropped after five years, as long as 31 CFR 1010.430 asks banks to keep
-- records.
CREATE TABLE payments.declined_order (
    decline_id uuid NOT NULL,
    customer_id uuid NOT NULL,
    account_id uuid NOT NULL,
    amount bigint NOT NULL,
    currency text NOT NULL,
    beneficiary_name text NOT NULL,
    routing_number text NOT NULL,
    account_number text NOT NULL,
    reason text NOT NULL,
    fraud_transaction_id uuid NOT NULL,
    correlation_id text NOT NULL,
    decline_time timestamp with time zone NOT NULL,
    CONSTRAINT declined_order_amount_check CHECK ((amount > 0))
)
PARTITION BY RANGE (decline_id);
ALTER TABLE payments.declined_order OWNER TO payments_owner;

ALTER TABLE ONLY payments.declined_order
    ADD CONSTRAINT declined_order_pkey PRIMARY KEY (decline_id);

-- For the declined orders of a customer, by time.
CREATE INDEX declined_order_by_customer ON ONLY payments.declined_order USING btree (customer_id,
    decline_id);

-- For the record of an order that is repeated.
CREATE INDEX declined_order_by_order ON ONLY payments.declined_order USING btree (customer_id,
    fraud_transaction_id, reason);

GRANT SELECT ON TABLE payments.declined_order TO bp_judge;

-- How many orders of a customer were declined in an hour. Rows with further orders are kept for
-- five years, the others for a day.
CREATE TABLE payments.declines_of_hour (
    customer_id uuid NOT NULL,
    hour timestamp with time zone NOT NULL,
    account_id uuid NOT NULL,
    recorded integer DEFAULT 0 NOT NULL,
    further bigint DEFAULT 0 NOT NULL,
    report_id uuid
);
ALTER TABLE payments.declines_of_hour OWNER TO payments_owner;

ALTER TABLE ONLY payments.declines_of_hour
    ADD CONSTRAINT declines_of_hour_pkey PRIMARY KEY (customer_id, hour);

-- For the hours whose further orders have no event yet.
CREATE INDEX declines_of_hour_unreported ON payments.declines_of_hour USING btree (hour) WHERE
    ((further > 0) AND (report_id IS NULL));

GRANT SELECT ON TABLE payments.declines_of_hour TO bp_judge;
GRANT SELECT ON TABLE payments.declines_of_hour TO bp_payments;
GRANT SELECT,INSERT,UPDATE ON TABLE payments.declines_of_hour TO transfers_owner;

-- One accepted request of a customer for each key, for 400 days: an interbank or a book transfer. A
-- refused request has no row. A failure that compensated before any answer removes the row.
CREATE TABLE payments.idempotency_key (
    shard smallint NOT NULL,
    customer_id uuid NOT NULL,
    idempotency_key text NOT NULL,
    fingerprint bytea NOT NULL,
    transfer_id uuid NOT NULL,
    CONSTRAINT key_in_shard_of_customer CHECK ((shard = (get_byte(uuid_send(customer_id), 15) &
        63)))
);
ALTER TABLE payments.idempotency_key OWNER TO payments_owner;

ALTER TABLE ONLY payments.idempotency_key
    ADD CONSTRAINT idempotency_key_pkey PRIMARY KEY (shard, customer_id, idempotency_key);

GRANT SELECT ON TABLE payments.idempotency_key TO bp_judge;
GRANT SELECT ON TABLE payments.idempotency_key TO bp_payments;
GRANT SELECT,INSERT,DELETE ON TABLE payments.idempotency_key TO transfers_owner;

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
    cancel_requester text,
    CONSTRAINT interbank_transfer_amount_check CHECK ((amount > 0)),
    CONSTRAINT transfer_shard_of_account CHECK (((shard = (get_byte(uuid_send(transfer_id), 15) &
        63)) AND (shard = (get_byte(uuid_send(account_id), 15) & 63))))
)
PARTITION BY RANGE (transfer_id);
ALTER TABLE payments.interbank_transfer OWNER TO payments_owner;

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

-- For the transfers that a person has to review, oldest first.
CREATE INDEX interbank_transfer_in_review ON ONLY payments.interbank_transfer USING btree
    (transfer_id) WHERE fraud_review;

-- For the submitted transfers without a notice, which the bank asks the clearing house about at
-- lease_until.
CREATE INDEX interbank_transfer_unsettled ON ONLY payments.interbank_transfer USING btree
    (lease_until) WHERE (state = 'SUBMITTED'::text);

GRANT SELECT ON TABLE payments.interbank_transfer TO bp_judge;
GRANT SELECT ON TABLE payments.interbank_transfer TO bp_payments;

GRANT UPDATE(accepted_response) ON TABLE payments.interbank_transfer TO bp_payments;

GRANT UPDATE(lease_owner) ON TABLE payments.interbank_transfer TO bp_payments;

GRANT UPDATE(lease_until) ON TABLE payments.interbank_transfer TO bp_payments;

GRANT UPDATE(attempts) ON TABLE payments.interbank_transfer TO bp_payments;

-- How far the keys of each shard are forgotten: up to the transfer `through`.
CREATE TABLE payments.keys_forgotten (
    shard smallint NOT NULL,
    through uuid NOT NULL
);
ALTER TABLE payments.keys_forgotten OWNER TO payments_owner;

ALTER TABLE ONLY payments.keys_forgotten
    ADD CONSTRAINT keys_forgotten_pkey PRIMARY KEY (shard);

GRANT SELECT ON TABLE payments.keys_forgotten TO bp_judge;

-- The accounts at other banks that a customer has paid. A row is never changed or removed, also
-- when its transfer fails: the customer had confirmed the account with a second factor. Two first
-- payments at the same time leave two rows, so that neither waits for the other.
CREATE TABLE payments.known_beneficiary (
    shard smallint NOT NULL,
    customer_id uuid NOT NULL,
    beneficiary bytea NOT NULL,
    transfer_id uuid NOT NULL
);
ALTER TABLE payments.known_beneficiary OWNER TO payments_owner;

ALTER TABLE ONLY payments.known_beneficiary
    ADD CONSTRAINT known_beneficiary_pkey PRIMARY KEY (shard, customer_id, beneficiary,
        transfer_id);

GRANT SELECT ON TABLE payments.known_beneficiary TO bp_judge;

-- The completed transfers about which the bank asks the clearing house once more at due_time,
-- because the notice of a late return may be lost. A row is removed after its last check.
CREATE TABLE payments.late_return_check (
    shard smallint NOT NULL,
    transfer_id uuid NOT NULL,
    settle_time timestamp with time zone NOT NULL,
    due_time timestamp with time zone NOT NULL,
    attempts integer DEFAULT 0 NOT NULL
);
ALTER TABLE payments.late_return_check OWNER TO payments_owner;

ALTER TABLE ONLY payments.late_return_check
    ADD CONSTRAINT late_return_check_pkey PRIMARY KEY (shard, transfer_id);

-- For the transfers to ask about now.
CREATE INDEX late_return_check_due ON payments.late_return_check USING btree (due_time);

ALTER TABLE payments.late_return_check ENABLE ROW LEVEL SECURITY;

CREATE POLICY read ON payments.late_return_check FOR SELECT USING (true);

GRANT SELECT ON TABLE payments.late_return_check TO bp_judge;
GRANT SELECT,DELETE ON TABLE payments.late_return_check TO bp_payments;

GRANT UPDATE(due_time) ON TABLE payments.late_return_check TO bp_payments;

GRANT UPDATE(attempts) ON TABLE payments.late_return_check TO bp_payments;

-- What a person decided about a transfer in review, never changed except for effect and event_id.
CREATE TABLE payments.review_decision (
    transfer_id uuid NOT NULL,
    decision text NOT NULL,
    effect text NOT NULL,
    reviewer text NOT NULL,
    note text NOT NULL,
    decide_time timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    event_id uuid,
    os_user text,
    CONSTRAINT review_decision_decision_check CHECK ((decision = ANY (ARRAY['CLEARED'::text,
        'REFUSED'::text]))),
    CONSTRAINT review_decision_effect_check CHECK ((effect = ANY (ARRAY['NONE'::text,
        'REQUESTED'::text, 'CANCELLING'::text, 'TOO_LATE'::text, 'NOT_NEEDED'::text]))),
    CONSTRAINT review_decision_note_check CHECK (((note <> ''::text) AND (octet_length(note) <=
        2000))),
    CONSTRAINT review_decision_os_user_check CHECK (((os_user <> ''::text) AND
        (octet_length(os_user) <= 128))),
    CONSTRAINT review_decision_reviewer_check CHECK (((reviewer <> ''::text) AND
        (octet_length(reviewer) <= 128)))
);
ALTER TABLE payments.review_decision OWNER TO payments_owner;

ALTER TABLE ONLY payments.review_decision
    ADD CONSTRAINT review_decision_pkey PRIMARY KEY (transfer_id);

-- For the decisions that payments has to carry out and report.
CREATE INDEX review_decision_unreported ON payments.review_decision USING btree (transfer_id) WHERE
    (event_id IS NULL);

GRANT SELECT ON TABLE payments.review_decision TO bp_judge;
GRANT SELECT ON TABLE payments.review_decision TO bp_payments;

-- How far each worker's new trace numbers are compared with those of other transfers.
CREATE TABLE payments.traces_compared (
    slot text NOT NULL,
    through timestamp with time zone NOT NULL,
    CONSTRAINT traces_compared_slot_check CHECK (((octet_length(slot) >= 1) AND (octet_length(slot)
        <= 128)))
);
ALTER TABLE payments.traces_compared OWNER TO payments_owner;

ALTER TABLE ONLY payments.traces_compared
    ADD CONSTRAINT traces_compared_pkey PRIMARY KEY (slot);

GRANT SELECT ON TABLE payments.traces_compared TO bp_judge;
GRANT SELECT,INSERT,UPDATE ON TABLE payments.traces_compared TO bp_payments;

-- Interbank and book transfers whose key belongs to another transfer: earlier versions accepted one
-- key of a customer at both services. Only migrations add rows. Every other accepted transfer of
-- the last 400 days has its key.
CREATE TABLE payments.transfer_without_key (
    shard smallint NOT NULL,
    transfer_id uuid NOT NULL
);
ALTER TABLE payments.transfer_without_key OWNER TO payments_owner;

ALTER TABLE ONLY payments.transfer_without_key
    ADD CONSTRAINT transfer_without_key_pkey PRIMARY KEY (shard, transfer_id);

GRANT SELECT ON TABLE payments.transfer_without_key TO bp_judge;

-- functions/advance.sql, owned by payments_owner
GRANT EXECUTE ON FUNCTION payments.advance(uuid, integer, text, text, text, text, timestamp with
    time zone, timestamp with time zone, text, uuid, uuid, text, bytea, boolean, bytea, text, text)
    TO bp_payments;

-- functions/advance.sql, owned by payments_owner
GRANT EXECUTE ON FUNCTION payments.advance(uuid, integer, text, text, text, text, timestamp with
    time zone, timestamp with time zone, text, uuid, uuid, text, bytea, boolean, bytea, text, text,
    text) TO bp_payments;

-- functions/advance_group.sql, owned by payments_owner
GRANT EXECUTE ON FUNCTION payments.advance_group(payments.plain_step[]) TO bp_payments;

-- functions/advance_group.sql, owned by payments_owner
GRANT EXECUTE ON FUNCTION payments.advance_group(payments.plain_step[], text[]) TO bp_payments;

-- functions/beneficiary.sql, owned by payments_owner
GRANT EXECUTE ON FUNCTION payments.beneficiary(uuid) TO bp_transfers;

-- functions/beneficiary_digest.sql, owned by payments_owner
-- Only its owner may execute payments.beneficiary_digest(uuid, text, text).

-- functions/check_return_at.sql, owned by payments_owner
GRANT EXECUTE ON FUNCTION payments.check_return_at(smallint, uuid, timestamp with time zone) TO
    bp_payments;

-- functions/check_return_by.sql, owned by payments_owner
GRANT EXECUTE ON FUNCTION payments.check_return_by(smallint, uuid, timestamp with time zone) TO
    bp_payments;

-- functions/claim_return_checks.sql, owned by payments_owner
GRANT EXECUTE ON FUNCTION payments.claim_return_checks(timestamp with time zone, timestamp with time
    zone, integer) TO bp_payments;

-- functions/close_notice.sql, owned by payments_owner
GRANT EXECUTE ON FUNCTION payments.close_notice(text, text) TO bp_payments;

-- functions/debit.sql, owned by payments_owner
GRANT EXECUTE ON FUNCTION payments.debit(uuid, uuid, uuid, bigint, text, text, text, text, text,
    text, boolean, text, bytea, text, text, timestamp with time zone, text, timestamp with time
    zone, uuid, uuid, bytea) TO bp_payments;

-- functions/debit_each.sql, owned by payments_owner
GRANT EXECUTE ON FUNCTION payments.debit_each(payments.debit_order[]) TO bp_payments;

-- functions/decide_review.sql, owned by payments_owner
GRANT EXECUTE ON FUNCTION payments.decide_review(uuid, text, text, text, text) TO bp_reviewer;

-- functions/decline.sql, owned by payments_owner
GRANT EXECUTE ON FUNCTION payments.decline(uuid, uuid, uuid, bigint, text, text, text, text, text,
    uuid, text, timestamp with time zone, uuid, bytea, text) TO bp_payments;

-- functions/decline_group.sql, owned by payments_owner
GRANT EXECUTE ON FUNCTION payments.decline_group(payments.decline_row[], integer) TO bp_payments;

-- functions/drop_old_declines.sql, owned by payments_owner
GRANT EXECUTE ON FUNCTION payments.drop_old_declines() TO bp_payments;

-- functions/end_return_checks.sql, owned by payments_owner
GRANT EXECUTE ON FUNCTION payments.end_return_checks(smallint, uuid) TO bp_payments;

-- functions/ensure_partitions.sql, owned by payments_owner
GRANT EXECUTE ON FUNCTION payments.ensure_partitions(integer, timestamp with time zone) TO
    bp_payments;

-- functions/find_keys.sql, owned by payments_owner
GRANT EXECUTE ON FUNCTION payments.find_keys(smallint[], uuid[], text[]) TO bp_payments;

-- functions/finish_partition.sql, owned by payments_owner
-- Only its owner may execute payments.finish_partition(regclass).

-- functions/forget_keys.sql, owned by payments_owner
GRANT EXECUTE ON FUNCTION payments.forget_keys(integer) TO bp_payments;

-- functions/free_refused_keys.sql, owned by payments_owner
-- Only its owner may execute payments.free_refused_keys(payments.debit_order[], ledger.verdict[]).

-- functions/give_up_notices.sql, owned by payments_owner
GRANT EXECUTE ON FUNCTION payments.give_up_notices(timestamp with time zone, text[]) TO bp_payments;

-- functions/held_keys.sql, owned by payments_owner
GRANT EXECUTE ON FUNCTION payments.held_keys(uuid[], text[]) TO bp_payments, bp_transfers;

-- functions/held_transfers.sql, owned by payments_owner
GRANT EXECUTE ON FUNCTION payments.held_transfers(uuid[]) TO bp_payments;

-- functions/keep_conflict.sql, owned by payments_owner
GRANT EXECUTE ON FUNCTION payments.keep_conflict(text, text, text, uuid, text, bytea) TO
    bp_payments;

-- functions/keep_debited.sql, owned by payments_owner
-- Only its owner may execute payments.keep_debited(payments.debit_order[], ledger.verdict[]).

-- functions/keep_notice.sql, owned by payments_owner
GRANT EXECUTE ON FUNCTION payments.keep_notice(text, text, text, uuid, text, bytea) TO bp_payments;

-- functions/known_beneficiaries.sql, owned by payments_owner
GRANT EXECUTE ON FUNCTION payments.known_beneficiaries(uuid[], text[], text[]) TO bp_payments;

-- functions/outcomes_of_debits.sql, owned by payments_owner
-- Only its owner may execute payments.outcomes_of_debits(payments.debit_order[], ledger.verdict[]).

-- functions/outcomes_of_keys.sql, owned by payments_owner
-- Only its owner may execute payments.outcomes_of_keys(payments.debit_order[], uuid[]).

-- functions/post_transition.sql, owned by payments_owner
-- Only its owner may execute payments.post_transition(text, uuid, uuid, uuid, text, bigint).

-- functions/postings_of.sql, owned by payments_owner
-- Only its owner may execute payments.postings_of(payments.debit_order[]).

-- functions/put_aside.sql, owned by payments_owner
GRANT EXECUTE ON FUNCTION payments.put_aside(smallint, uuid, integer, text, text, text) TO
    bp_payments;

-- functions/report_declines.sql, owned by payments_owner
GRANT EXECUTE ON FUNCTION payments.report_declines(uuid, timestamp with time zone, uuid, uuid,
    bytea) TO bp_payments;

-- functions/report_review.sql, owned by payments_owner
GRANT EXECUTE ON FUNCTION payments.report_review(uuid, text, uuid, bytea) TO bp_payments;

-- functions/set_review_effect.sql, owned by payments_owner
GRANT EXECUTE ON FUNCTION payments.set_review_effect(uuid, text) TO bp_payments;
