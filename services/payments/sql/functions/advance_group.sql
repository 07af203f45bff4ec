-- Takes steps of several transfers that post nothing, so no account is locked. Returns the event
-- of each step that it took. A transfer that is no longer at `expected_version` is skipped and has
-- no row. A step into CANCELLING is a request of the customer. A lock held too long fails the
-- batch, so that the others need not wait; the caller then sends the held transfers alone. The
-- worker that made a step becomes the owner of the lease; a missing name keeps the previous one.
CREATE OR REPLACE FUNCTION payments.advance_group(
    steps payments.plain_step[], lease_owners text[]
)
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
            update_time = s.update_time, lease_owner = coalesce(s.lease_owner, t.lease_owner),
            lease_until = s.lease_until, attempts = 0,
            accepted_response = coalesce(t.accepted_response, s.response),
            submit_time = CASE WHEN s.next_state = 'SUBMITTED'
                THEN coalesce(t.submit_time, s.update_time) ELSE t.submit_time END,
            complete_time = CASE WHEN s.next_state = 'COMPLETED'
                THEN coalesce(t.complete_time, s.update_time) ELSE t.complete_time END,
            return_time = CASE WHEN s.next_state = 'RETURNED'
                THEN coalesce(t.return_time, s.update_time) ELSE t.return_time END,
            cancel_requester = CASE WHEN s.next_state = 'CANCELLING'
                THEN 'CUSTOMER' ELSE t.cancel_requester END
        FROM ROWS FROM (unnest(steps), unnest(lease_owners)) AS s (transfer_id, expected_version,
            next_state, trace_number, failure_reason, return_code, update_time, lease_until,
            event_id, event_type, payload, response, lease_owner)
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

-- Takes steps as above, for processes of the previous version: each lease keeps its owner.
CREATE OR REPLACE FUNCTION payments.advance_group(steps payments.plain_step[])
RETURNS TABLE (event_id uuid, accepted_response bytea)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT g.event_id, g.accepted_response FROM payments.advance_group(steps, '{}'::text[]) g
$$;
