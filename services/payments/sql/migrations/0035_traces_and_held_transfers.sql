-- migrate:up

SET ROLE payments_owner;

-- Trace numbers are compared every few seconds, and a process that is killed does not compare its
-- last ones. The mark says from when on its next process has to.
CREATE TABLE payments.traces_compared (
    slot    text NOT NULL PRIMARY KEY CHECK (octet_length(slot) BETWEEN 1 AND 128),
    through timestamptz NOT NULL
);
COMMENT ON TABLE payments.traces_compared IS
    'How far each worker''s new trace numbers are compared with those of other transfers.';
COMMENT ON COLUMN payments.traces_compared.slot IS 'The name of the worker, as in lease_owner.';
COMMENT ON COLUMN payments.traces_compared.through IS
    'Trace numbers that the worker learned before are compared.';

GRANT SELECT, INSERT, UPDATE ON payments.traces_compared TO bp_payments;
GRANT SELECT ON payments.traces_compared TO bp_judge;

-- One transfer that another session holds delays no others: a batch of steps gives up soon, and
-- only the held transfers leave it.
-- Takes steps of several transfers that post nothing, so no account is locked. Returns the event
-- of each step that it took. A transfer that is no longer at `expected_version` is skipped and has
-- no row. A step into CANCELLING is a request of the customer. A lock held too long fails the
-- batch, so that the others need not wait; the caller then sends the held transfers alone.
CREATE OR REPLACE FUNCTION payments.advance_group(steps payments.plain_step[])
RETURNS TABLE (event_id uuid, accepted_response bytea)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '250ms'
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
            accepted_response = coalesce(t.accepted_response, s.response),
            submit_time = CASE WHEN s.next_state = 'SUBMITTED'
                THEN coalesce(t.submit_time, s.update_time) ELSE t.submit_time END,
            complete_time = CASE WHEN s.next_state = 'COMPLETED'
                THEN coalesce(t.complete_time, s.update_time) ELSE t.complete_time END,
            return_time = CASE WHEN s.next_state = 'RETURNED'
                THEN coalesce(t.return_time, s.update_time) ELSE t.return_time END,
            cancel_requester = CASE WHEN s.next_state = 'CANCELLING'
                THEN 'CUSTOMER' ELSE t.cancel_requester END
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

-- Returns the transfers, of those given, whose rows another session has locked. It locks the others
-- only until its statement's transaction ends. The settings make PostgreSQL look up each row by its
-- key, even when a young table has no statistics.
CREATE FUNCTION payments.held_transfers(transfer_ids uuid[]) RETURNS uuid[]
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off
AS $$
DECLARE
    free constant uuid[] := ARRAY(
        SELECT t.transfer_id
        FROM (SELECT DISTINCT i.id FROM unnest(transfer_ids) i (id)) wanted
        JOIN payments.interbank_transfer t
          ON t.shard = ledger.shard_of(wanted.id) AND t.transfer_id = wanted.id
        ORDER BY t.transfer_id FOR NO KEY UPDATE OF t SKIP LOCKED);
BEGIN
    RETURN ARRAY(
        SELECT t.transfer_id
        FROM (SELECT DISTINCT i.id FROM unnest(transfer_ids) i (id)) wanted
        JOIN payments.interbank_transfer t
          ON t.shard = ledger.shard_of(wanted.id) AND t.transfer_id = wanted.id
        WHERE t.transfer_id <> ALL (free));
END $$;

GRANT EXECUTE ON FUNCTION payments.held_transfers(uuid[]) TO bp_payments;

RESET ROLE;

-- migrate:down
SET ROLE payments_owner;

DROP FUNCTION payments.held_transfers(uuid[]);

-- Takes steps of several transfers that post nothing, so no account is locked. Returns the event
-- of each step that it took. A transfer that is no longer at `expected_version` is skipped and has
-- no row. A step into CANCELLING is a request of the customer.
CREATE OR REPLACE FUNCTION payments.advance_group(steps payments.plain_step[])
RETURNS TABLE (event_id uuid, accepted_response bytea)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
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
            accepted_response = coalesce(t.accepted_response, s.response),
            submit_time = CASE WHEN s.next_state = 'SUBMITTED'
                THEN coalesce(t.submit_time, s.update_time) ELSE t.submit_time END,
            complete_time = CASE WHEN s.next_state = 'COMPLETED'
                THEN coalesce(t.complete_time, s.update_time) ELSE t.complete_time END,
            return_time = CASE WHEN s.next_state = 'RETURNED'
                THEN coalesce(t.return_time, s.update_time) ELSE t.return_time END,
            cancel_requester = CASE WHEN s.next_state = 'CANCELLING'
                THEN 'CUSTOMER' ELSE t.cancel_requester END
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

DROP TABLE payments.traces_compared;

RESET ROLE;
