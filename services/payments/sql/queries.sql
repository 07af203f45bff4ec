-- name: debit
-- Step 2 of the saga: writes key, debit, transfer and event in one round trip.
SELECT $1 AS transfer_id, outcome, existing_transfer_id
FROM payments.debit($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17,
    $18, $19, $20, $21);

-- name: decline_group
-- Records declined orders and writes their events, in one round trip and one commit.
SELECT decline_id, outcome FROM payments.decline_group($1::payments.decline_row[], $2);

-- name: unreported_declines
-- Hours before a given time that have declined orders beyond the recorded ones and no event yet.
SELECT customer_id, hour, recorded, further
FROM payments.declines_of_hour
WHERE further > 0 AND report_id IS NULL AND hour < $1
ORDER BY hour
LIMIT $2;

-- name: report_declines
-- Writes the event about the declined orders of an hour that are only counted.
SELECT payments.report_declines($1, $2, $3, $4, $5);

-- name: advance
-- A later step: writes state, posting, event, key and notice in one round trip.
SELECT advanced, accepted_response
FROM payments.advance($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16,
    $17, $18);

-- name: debit_each
-- Step 2 of several sagas: makes or refuses each debit separately, in one round trip and one
-- commit.
SELECT transfer_id, outcome, existing_transfer_id, refusal
FROM payments.debit_each($1::payments.debit_order[]);

-- name: advance_group
-- Later steps of several transfers that post nothing, in one round trip and one commit.
SELECT event_id, accepted_response
FROM payments.advance_group($1::payments.plain_step[], $2::text[]);

-- name: held_transfers
-- The given transfers that another session holds.
SELECT payments.held_transfers($1::uuid[]);

-- name: transfer
-- One transfer by its id.
SELECT transfer_id, customer_id, account_id, amount, currency, beneficiary_name, routing_number,
    account_number, account_type, memo, fraud_review, state, version, trace_number,
    failure_reason, return_code, correlation_id, traceparent, create_time, update_time,
    attempts, accepted_response, submit_time, complete_time, return_time,
    cancel_requester
FROM payments.interbank_transfer
WHERE shard = $1 AND transfer_id = $2;

-- name: transfers_by_trace
-- The transfers that have a trace number, newest first. There are several once the clearing house
-- has restarted its sequence of numbers.
SELECT transfer_id, state
FROM payments.interbank_transfer
WHERE trace_number = $1
ORDER BY transfer_id DESC
LIMIT 10;

-- name: taken_traces
-- The given transfers that share their trace number with another transfer, created since a given
-- time. Run it after the transfers are saved, so that it finds at least one of two concurrent
-- transfers with the same number.
SELECT a.transfer_id
FROM unnest($1::uuid[], $2::text[]) WITH ORDINALITY AS a (transfer_id, trace_number, number)
WHERE EXISTS (
    SELECT FROM payments.interbank_transfer t
    WHERE t.trace_number = a.trace_number AND t.transfer_id <> a.transfer_id
      AND t.transfer_id >= chassis.id_floor($3))
ORDER BY a.number;

-- name: learned_traces
-- Transfers that got their trace number in a range of time, oldest first. The next query follows
-- the step after a fixed time, so the indexes on the time of the next query find them. It may also
-- return some transfers that were queried since then.
SELECT transfer_id, trace_number, learn_time
FROM (
    (SELECT t.transfer_id, t.trace_number, t.lease_until - $3::interval AS learn_time
     FROM payments.interbank_transfer t
     WHERE t.state = 'SUBMITTED' AND t.lease_until > $1::timestamptz + $3
         AND t.lease_until <= $2::timestamptz + $3
     ORDER BY t.lease_until
     LIMIT $5)
    UNION ALL
    (SELECT c.transfer_id, (SELECT t.trace_number FROM payments.interbank_transfer t
         WHERE t.shard = c.shard AND t.transfer_id = c.transfer_id),
         c.due_time - $4::interval
     FROM payments.late_return_check c
     WHERE c.due_time > $1 + $4 AND c.due_time <= $2 + $4
     ORDER BY c.due_time
     LIMIT $5)
) AS learned
ORDER BY learn_time
LIMIT $5;

-- name: traces_mark
-- The time up to which the trace numbers of a slot are compared.
SELECT through FROM payments.traces_compared WHERE slot = $1;

-- name: move_traces_mark
-- Sets the time up to which the trace numbers of a slot are compared.
INSERT INTO payments.traces_compared (slot, through) VALUES ($1, $2)
ON CONFLICT (slot) DO UPDATE SET through = excluded.through;

-- name: transfers_of_account
-- One page of an account's transfers in a range of time, newest first, after an id. The range
-- limits the ids too, so a page starts in the index.
SELECT transfer_id, customer_id, account_id, amount, currency, beneficiary_name, routing_number,
    account_number, account_type, memo, fraud_review, state, version, trace_number,
    failure_reason, return_code, correlation_id, traceparent, create_time, update_time,
    attempts, accepted_response, submit_time, complete_time, return_time,
    cancel_requester
FROM payments.interbank_transfer
WHERE shard = $1 AND account_id = $2 AND customer_id = $3 AND transfer_id < $4
    AND transfer_id >= $5 AND create_time >= $6 AND create_time < $7
ORDER BY transfer_id DESC
LIMIT $8;

-- name: transfers_of_account_in_state
-- One page of an account's transfers that are in a state, in a range of time, newest first, after
-- an id.
SELECT transfer_id, customer_id, account_id, amount, currency, beneficiary_name, routing_number,
    account_number, account_type, memo, fraud_review, state, version, trace_number,
    failure_reason, return_code, correlation_id, traceparent, create_time, update_time,
    attempts, accepted_response, submit_time, complete_time, return_time,
    cancel_requester
FROM payments.interbank_transfer
WHERE shard = $1 AND account_id = $2 AND customer_id = $3 AND transfer_id < $4
    AND transfer_id >= $5 AND create_time >= $6 AND create_time < $7 AND state = $8
ORDER BY transfer_id DESC
LIMIT $9;

-- name: find_keys
-- The transfer and the fingerprint of each idempotency key that is in use, with the key's number in
-- the arrays.
SELECT number, transfer_id, fingerprint
FROM payments.find_keys($1::smallint[], $2::uuid[], $3::text[]);

-- name: known_beneficiaries
-- The numbers of those beneficiaries, in the arrays, that the customer has paid before.
SELECT number
FROM payments.known_beneficiaries($1::uuid[], $2::text[], $3::text[]);

-- name: keep_response
-- Keeps the answer that a caller gets before the saga has ended; an earlier answer stays. A
-- transfer that has failed without an answer gets none, because its key is free.
UPDATE payments.interbank_transfer
SET accepted_response = coalesce(accepted_response, $3)
WHERE shard = $1 AND transfer_id = $2 AND (accepted_response IS NOT NULL OR state <> 'FAILED')
RETURNING accepted_response;

-- name: claim_due
-- Claims pending transfers whose lease has expired, or ends so late that it comes from a worker
-- with a wrong clock. The later of the worker's clock and the database's decides about that. A
-- worker whose clock is far ahead takes only leases that have expired by the database's clock;
-- otherwise workers would keep claiming each other's transfers.
WITH due AS (
    SELECT shard, transfer_id
    FROM payments.interbank_transfer
    WHERE state IN ('DEBITED', 'OUTCOME_UNKNOWN', 'CANCELLING')
        AND lease_until < CASE WHEN $3 > now() + interval '10 minutes' THEN now() ELSE $3 END
    ORDER BY lease_until
    LIMIT $4
    FOR UPDATE SKIP LOCKED
), too_late AS (
    SELECT shard, transfer_id
    FROM payments.interbank_transfer
    WHERE state IN ('DEBITED', 'OUTCOME_UNKNOWN', 'CANCELLING')
        AND lease_until > greatest($3, now()) + interval '10 minutes' AND lease_until < 'infinity'
    ORDER BY lease_until
    LIMIT $4
    FOR UPDATE SKIP LOCKED
)
UPDATE payments.interbank_transfer t
SET lease_owner = $1, lease_until = $2, attempts = t.attempts + 1
FROM (SELECT shard, transfer_id FROM due UNION ALL SELECT shard, transfer_id FROM too_late) claimed
WHERE t.shard = claimed.shard AND t.transfer_id = claimed.transfer_id
RETURNING t.transfer_id, customer_id, account_id, amount, currency, beneficiary_name,
    routing_number, account_number, account_type, memo, fraud_review, state, version,
    trace_number, failure_reason, return_code, correlation_id, traceparent, create_time,
    update_time, attempts, accepted_response, submit_time, complete_time, return_time,
    cancel_requester;

-- name: release_leases
-- Ends the leases of this slot, so that workers claim its transfers immediately; except leases that
-- expire after $3 and by $4 (NULL: none), and those of the transfers $5. Returns how many it skips
-- because another session holds the row; the caller retries them.
WITH left_behind AS (
    SELECT shard, transfer_id
    FROM payments.interbank_transfer
    WHERE state IN ('DEBITED', 'OUTCOME_UNKNOWN', 'CANCELLING') AND lease_owner = $1
        AND ($3::timestamptz IS NULL OR lease_until <= $3 OR lease_until > $4)
        AND transfer_id <> ALL ($5::uuid[])
), free AS (
    SELECT shard, transfer_id
    FROM payments.interbank_transfer
    WHERE state IN ('DEBITED', 'OUTCOME_UNKNOWN', 'CANCELLING') AND lease_owner = $1
        AND ($3::timestamptz IS NULL OR lease_until <= $3 OR lease_until > $4)
        AND transfer_id <> ALL ($5::uuid[])
    FOR NO KEY UPDATE SKIP LOCKED
), released AS (
    UPDATE payments.interbank_transfer t
    SET lease_until = $2
    FROM free
    WHERE t.shard = free.shard AND t.transfer_id = free.transfer_id
    RETURNING t.transfer_id
)
SELECT (SELECT count(*) FROM left_behind) - (SELECT count(*) FROM released) AS held;

-- name: renew_lease
-- Extends the lease of a worker for its next question about a transfer. Returns nothing if another
-- worker has claimed or changed the transfer, or another session holds its row.
UPDATE payments.interbank_transfer t
SET lease_owner = $4, lease_until = $5
FROM (
    SELECT shard, transfer_id
    FROM payments.interbank_transfer
    WHERE shard = $1 AND transfer_id = $2 AND version = $3 AND lease_owner IN ($4, '')
    FOR NO KEY UPDATE SKIP LOCKED
) AS free
WHERE t.shard = free.shard AND t.transfer_id = free.transfer_id
    AND t.shard = $1 AND t.transfer_id = $2
RETURNING true AS renewed;

-- name: postpone
-- Sets when the bank queries the clearing house about a transfer again. Until then no worker has a
-- lease on it, so release_leases does not change it. A transfer that another session holds, or that
-- another worker has claimed, keeps its lease.
UPDATE payments.interbank_transfer t
SET lease_owner = '', lease_until = $4
FROM (
    SELECT shard, transfer_id
    FROM payments.interbank_transfer
    WHERE shard = $1 AND transfer_id = $2 AND version = $3 AND lease_owner IN ($5, '')
    FOR NO KEY UPDATE SKIP LOCKED
) AS free
WHERE t.shard = free.shard AND t.transfer_id = free.transfer_id
    AND t.shard = $1 AND t.transfer_id = $2;

-- name: claim_unsettled
-- Claims submitted transfers whose notice is overdue.
UPDATE payments.interbank_transfer t
SET lease_owner = $1, lease_until = $2, attempts = t.attempts + 1
FROM (
    SELECT shard, transfer_id
    FROM payments.interbank_transfer
    WHERE state = 'SUBMITTED' AND lease_until < $3
    ORDER BY lease_until
    LIMIT $4
    FOR UPDATE SKIP LOCKED
) AS due
WHERE t.shard = due.shard AND t.transfer_id = due.transfer_id
RETURNING t.transfer_id, customer_id, account_id, amount, currency, beneficiary_name,
    routing_number, account_number, account_type, memo, fraud_review, state, version,
    trace_number, failure_reason, return_code, correlation_id, traceparent, create_time,
    update_time, attempts, accepted_response, submit_time, complete_time, return_time,
    cancel_requester;

-- name: claim_return_checks
-- Claims the checks for late returns that are due, with their transfers. Each is read by its key.
SELECT c.settle_time, c.attempts, t.transfer_id, t.customer_id, t.account_id, t.amount, t.currency,
    t.beneficiary_name, t.routing_number, t.account_number, t.account_type, t.memo, t.fraud_review,
    t.state, t.version, t.trace_number, t.failure_reason, t.return_code, t.correlation_id,
    t.traceparent, t.create_time, t.update_time, t.accepted_response, t.submit_time,
    t.complete_time, t.return_time, t.cancel_requester
FROM payments.claim_return_checks($1, $2, $3) c
CROSS JOIN LATERAL (
    SELECT transfer_id, customer_id, account_id, amount, currency, beneficiary_name, routing_number,
        account_number, account_type, memo, fraud_review, state, version, trace_number,
        failure_reason, return_code, correlation_id, traceparent, create_time, update_time,
        accepted_response, submit_time, complete_time, return_time, cancel_requester
    FROM payments.interbank_transfer i
    WHERE i.shard = c.shard AND i.transfer_id = c.transfer_id
    LIMIT 1
) t;

-- name: check_return_at
-- Sets when the bank next checks a transfer for a late return, if it still has a check.
SELECT payments.check_return_at($1, $2, $3);

-- name: check_return_by
-- Sets when the bank next checks a transfer for a late return, unless the check is due earlier.
SELECT payments.check_return_by($1, $2, $3);

-- name: end_return_checks
-- Ends the checks of a transfer for late returns.
SELECT payments.end_return_checks($1, $2);

-- name: put_aside
-- Keeps a contradiction for a person and stops asking about its transfer, unless the transfer has
-- changed.
SELECT kept_id AS notice_id
FROM payments.put_aside($1, $2, $3, $4, $5, $6);

-- name: keep_notice
-- Keeps a notice of the clearing house; a repeated one changes nothing. Returns the notice's state,
-- or REUSED if its id belongs to a notice with other content.
SELECT payments.keep_notice($1, $2, $3, $4, $5, $6) AS state;

-- name: keep_conflict
-- Keeps a notice for a person; a repeated one changes nothing.
SELECT payments.keep_conflict($1, $2, $3, $4, $5, $6);

-- name: close_notice
-- Sets the state of a notice that changed nothing.
SELECT payments.close_notice($1, $2);

-- name: matching_notices
-- Kept notices of the given types whose transfer exists, oldest first, after the notice with the id
-- $3 ('': from the first one on).
SELECT n.notice_id, n.type, n.trace_number, n.transfer_id, n.return_code
FROM payments.ach_notice n
WHERE n.state = 'KEPT' AND n.type = ANY ($2::text[])
  AND (n.receive_time, n.notice_id) > (coalesce(
      (SELECT a.receive_time FROM payments.ach_notice a WHERE a.notice_id = $3), '-infinity'), $3)
  AND (EXISTS (SELECT FROM payments.interbank_transfer t
               WHERE t.shard = ledger.shard_of(n.transfer_id) AND t.transfer_id = n.transfer_id)
       OR n.transfer_id IS NULL AND EXISTS (
           SELECT FROM payments.interbank_transfer t WHERE t.trace_number = n.trace_number))
ORDER BY n.receive_time, n.notice_id
LIMIT $1;

-- name: give_up_notices
-- Sets kept notices to CONFLICT if they arrived before a given time. Notices of the given types are
-- not changed if their transfer exists, because they are about to be applied.
SELECT notice_id, type, trace_number, transfer_id, return_code
FROM payments.give_up_notices($1, $2);

-- name: ensure_partitions
-- Creates the partitions of the coming months.
SELECT payments.ensure_partitions();

-- name: drop_old_declines
-- Drops the declined orders that the bank need not keep any longer.
SELECT payments.drop_old_declines();

-- name: unreported_reviews
-- Decisions of reviewers without an event yet, in the order of their transfers, after transfer $2.
SELECT transfer_id, decision, effect, reviewer, note, decide_time, coalesce(os_user, '') AS os_user
FROM payments.review_decision
WHERE event_id IS NULL AND transfer_id > $2
ORDER BY transfer_id
LIMIT $1;

-- name: report_review
-- Saves the effect of a decision and writes its event, in one round trip and one commit.
SELECT payments.report_review($1, $2, $3, $4);

-- name: forget_keys
-- Deletes some idempotency keys that the bank no longer honours; returns how many transfers it
-- checked.
SELECT payments.forget_keys($1);

-- name: held_keys
-- The positions in the arrays of the keys that another session is taking or freeing.
SELECT payments.held_keys($1::uuid[], $2::text[]);
