-- Takes any later step of the saga in one round trip: the state, the posting that the transition
-- table names, the event, the key, and the notice that caused the step. It changes nothing and
-- returns false when the transfer is no longer at `expected_version`, so a step may be repeated at
-- any time. `posting` is NULL, SETTLE, REFUND_FROM_CLEARING or REFUND_FROM_SETTLEMENT. A key under
-- which the bank has given an answer is never freed, because the same request would pay again. A
-- completed transfer gets a check for a late return at `lease_until`, and a returned one loses it.
-- `cancel_requester` counts only in a step into CANCELLING; NULL means the customer. The worker
-- that made the step becomes `lease_owner`; NULL keeps the previous one.
CREATE OR REPLACE FUNCTION payments.advance(
    transfer_id uuid, expected_version integer, next_state text, trace_number text,
    failure_reason text, return_code text, update_time timestamptz, lease_until timestamptz,
    posting text, transaction_id uuid, event_id uuid, event_type text, payload bytea,
    frees_key boolean, response bytea, notice_id text,
    cancel_requester text, lease_owner text,
    OUT advanced boolean, OUT accepted_response bytea
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '1s'
AS $$
#variable_conflict use_variable
DECLARE
    moved record;
BEGIN
    UPDATE payments.interbank_transfer t
    SET state = next_state, version = t.version + 1, trace_number = advance.trace_number,
        failure_reason = advance.failure_reason, return_code = advance.return_code,
        update_time = advance.update_time,
        lease_owner = coalesce(advance.lease_owner, t.lease_owner),
        lease_until = advance.lease_until, attempts = 0,
        accepted_response = coalesce(t.accepted_response, response),
        submit_time = CASE WHEN next_state = 'SUBMITTED'
            THEN coalesce(t.submit_time, advance.update_time) ELSE t.submit_time END,
        complete_time = CASE WHEN next_state = 'COMPLETED'
            THEN coalesce(t.complete_time, advance.update_time) ELSE t.complete_time END,
        return_time = CASE WHEN next_state = 'RETURNED'
            THEN coalesce(t.return_time, advance.update_time) ELSE t.return_time END,
        cancel_requester = CASE WHEN next_state = 'CANCELLING'
            THEN coalesce(advance.cancel_requester, 'CUSTOMER') ELSE t.cancel_requester END
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
    IF frees_key AND accepted_response IS NULL THEN
        DELETE FROM payments.idempotency_key k
        WHERE k.shard = moved.shard AND k.customer_id = moved.customer_id
          AND k.idempotency_key = moved.idempotency_key
          AND k.transfer_id = advance.transfer_id;
    END IF;
    IF notice_id IS NOT NULL THEN
        UPDATE payments.ach_notice n SET state = 'APPLIED' WHERE n.notice_id = advance.notice_id;
    END IF;
    IF next_state = 'COMPLETED' THEN
        INSERT INTO payments.late_return_check (shard, transfer_id, settle_time, due_time)
        VALUES (moved.shard, transfer_id, update_time, lease_until)
        ON CONFLICT DO NOTHING;
    ELSIF next_state = 'RETURNED' THEN
        DELETE FROM payments.late_return_check c
        WHERE c.shard = moved.shard AND c.transfer_id = advance.transfer_id;
    END IF;
END $$;

-- Takes a step as above, for processes of the previous version: the lease keeps its owner.
CREATE OR REPLACE FUNCTION payments.advance(
    transfer_id uuid, expected_version integer, next_state text, trace_number text,
    failure_reason text, return_code text, update_time timestamptz, lease_until timestamptz,
    posting text, transaction_id uuid, event_id uuid, event_type text, payload bytea,
    frees_key boolean, response bytea, notice_id text,
    cancel_requester text DEFAULT NULL,
    OUT advanced boolean, OUT accepted_response bytea
)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT a.advanced, a.accepted_response
    FROM payments.advance(transfer_id, expected_version, next_state, trace_number, failure_reason,
        return_code, update_time, lease_until, posting, transaction_id, event_id, event_type,
        payload, frees_key, response, notice_id, cancel_requester, NULL) a
$$;
