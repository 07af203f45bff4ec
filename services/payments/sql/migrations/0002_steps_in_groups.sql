-- migrate:up

-- Steps of several transfers in one statement and one commit. Each does what its step alone does,
-- in the order given. Callers sort, so that rows are locked in the same order everywhere and no
-- two groups can deadlock: debits by shard, account and key, later steps by transfer.

-- What payments.debit takes, one row a transfer.
CREATE TYPE payments.debit_order AS (
    transfer_id uuid, customer_id uuid, account_id uuid, amount bigint, currency text,
    beneficiary_name text, routing_number text, account_number text, account_type text,
    memo text, fraud_review boolean, idempotency_key text, fingerprint bytea,
    correlation_id text, traceparent text, create_time timestamptz,
    lease_owner text, lease_until timestamptz,
    transaction_id uuid, event_id uuid, payload bytea
);

-- Debits several transfers or none: one refusal refuses the group, and its callers go alone then.
-- So does an account that somebody holds for long, lest all wait for one.
CREATE FUNCTION payments.debit_group(orders payments.debit_order[])
RETURNS TABLE (transfer_id uuid, outcome text, existing_transfer_id uuid)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET lock_timeout = '250ms'
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT o.transfer_id, d.outcome, d.existing_transfer_id
    FROM unnest(orders) AS o, LATERAL payments.debit(o.transfer_id, o.customer_id, o.account_id,
        o.amount, o.currency, o.beneficiary_name, o.routing_number, o.account_number,
        o.account_type, o.memo, o.fraud_review, o.idempotency_key, o.fingerprint,
        o.correlation_id, o.traceparent, o.create_time, o.lease_owner, o.lease_until,
        o.transaction_id, o.event_id, o.payload) AS d;
END $$;

-- A later step that posts nothing: no refusal of the ledger is possible and no account is locked.
CREATE TYPE payments.plain_step AS (
    transfer_id uuid, expected_version integer, next_state text, trace_number text,
    failure_reason text, return_code text, update_time timestamptz, lease_until timestamptz,
    event_id uuid, event_type text, payload bytea, response bytea
);

-- Takes such steps. Returns the events of those that were taken; a transfer that is not at
-- `expected_version` any more has none.
CREATE FUNCTION payments.advance_group(steps payments.plain_step[])
RETURNS TABLE (event_id uuid, accepted_response bytea)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
-- By key, row after row, whatever the statistics of a young table say.
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH moved AS (
        UPDATE payments.interbank_transfer t
        SET state = s.next_state, version = t.version + 1, trace_number = s.trace_number,
            failure_reason = s.failure_reason, return_code = s.return_code,
            update_time = s.update_time, lease_until = s.lease_until, attempts = 0,
            accepted_response = coalesce(t.accepted_response, s.response)
        FROM unnest(steps) AS s
        WHERE t.shard = ledger.shard_of(s.transfer_id) AND t.transfer_id = s.transfer_id
          AND t.version = s.expected_version
        RETURNING t.transfer_id, t.account_id, t.traceparent, t.accepted_response, s.event_id,
            s.event_type, s.payload
    ), told AS MATERIALIZED (
        SELECT m.event_id, m.accepted_response,
            outbox.append('payments', m.account_id, m.event_id, m.event_type, m.transfer_id,
                m.payload, m.traceparent) AS drawn
        FROM moved m
    )
    SELECT t.event_id, t.accepted_response FROM told t WHERE t.drawn IS NOT NULL;
END $$;

GRANT EXECUTE ON FUNCTION payments.debit_group(payments.debit_order[]),
    payments.advance_group(payments.plain_step[]) TO bp_payments;

-- migrate:down
DROP FUNCTION payments.advance_group, payments.debit_group;
DROP TYPE payments.plain_step, payments.debit_order;
