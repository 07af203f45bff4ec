-- name: activity
-- A number that grows with every step of every transfer.
SELECT last_value FROM outbox.event_id_seq;

-- name: fresh_sagas
-- Transfers that wait for their first answer of the clearing house; no attempt has failed yet.
SELECT count(*)
FROM payments.interbank_transfer
WHERE state IN ('DEBITED', 'OUTCOME_UNKNOWN', 'CANCELLING') AND attempts = 0;

-- name: outbox_depth
-- How many events wait in the outbox.
SELECT count(*) FROM outbox.event;

-- name: counts
-- How many rows the ledger and the transfers' tables hold.
SELECT
    (SELECT count(*) FROM ledger.account) AS accounts,
    (SELECT count(*) FROM ledger.entry) AS entries,
    (SELECT count(*) FROM payments.interbank_transfer) AS interbank_transfers,
    (SELECT count(*) FROM transfers.book_transfer) AS book_transfers,
    (SELECT count(*) FROM payments.idempotency_key) AS idempotency_keys,
    (SELECT count(*) FROM payments.ach_notice WHERE state = 'KEPT') AS notices_kept,
    (SELECT count(*) FROM payments.ach_notice WHERE state = 'CONFLICT') AS notices_conflict;

-- name: ledger_check
-- The ledger's own consistency check.
SELECT problem, account_id, transaction_id, code, currency, expected, actual,
    count(*) OVER () AS total
FROM ledger.check()
ORDER BY problem, account_id, transaction_id
LIMIT $1;

-- name: interbank_postings
-- Interbank transfers whose entries are not exactly those that their state requires. A transfer
-- may be returned before or after it settled.
WITH posted AS (
    SELECT e.reference,
        array_agg(concat_ws(' ', e.kind, coalesce(e.internal_code, e.account_id::text), e.amount,
            e.currency) ORDER BY e.kind, e.transaction_id, e.line) AS lines
    FROM ledger.entry e
    WHERE e.kind LIKE 'INTERBANK\_%'
    GROUP BY e.reference
), part AS (
    SELECT t.transfer_id, t.state,
        ARRAY[concat_ws(' ', 'INTERBANK_DEBIT', t.account_id, -t.amount, t.currency),
            concat_ws(' ', 'INTERBANK_DEBIT ACH_CLEARING', t.amount, t.currency)] AS debit,
        ARRAY[concat_ws(' ', 'INTERBANK_REFUND', t.account_id, t.amount, t.currency),
            concat_ws(' ', 'INTERBANK_REFUND ACH_CLEARING', -t.amount, t.currency)] AS refund,
        ARRAY[concat_ws(' ', 'INTERBANK_RETURN', t.account_id, t.amount, t.currency),
            concat_ws(' ', 'INTERBANK_RETURN SETTLEMENT', -t.amount, t.currency)] AS sent_back,
        ARRAY[concat_ws(' ', 'INTERBANK_SETTLE ACH_CLEARING', -t.amount, t.currency),
            concat_ws(' ', 'INTERBANK_SETTLE SETTLEMENT', t.amount, t.currency)] AS settle
    FROM payments.interbank_transfer t
), wanted AS (
    SELECT p.transfer_id, p.state,
        CASE
            WHEN p.state IN ('DEBITED', 'OUTCOME_UNKNOWN', 'CANCELLING', 'SUBMITTED') THEN p.debit
            WHEN p.state = 'COMPLETED' THEN p.debit || p.settle
            WHEN p.state IN ('FAILED', 'CANCELLED', 'RETURNED') THEN p.debit || p.refund
        END AS lines,
        CASE WHEN p.state = 'RETURNED' THEN p.debit || p.sent_back || p.settle END AS or_lines
    FROM part p
)
SELECT coalesce(w.transfer_id, p.reference)::text AS transfer_id, w.state, w.lines AS expected,
    p.lines AS actual, count(*) OVER () AS total
FROM wanted w
FULL JOIN posted p ON p.reference = w.transfer_id
WHERE w.lines IS DISTINCT FROM p.lines
  AND (w.or_lines IS NULL OR w.or_lines IS DISTINCT FROM p.lines)
ORDER BY 1
LIMIT $1;

-- name: book_postings
-- Book transfers whose entries are not exactly one debit and one credit.
WITH posted AS (
    SELECT e.reference,
        array_agg(concat_ws(' ', e.kind, coalesce(e.internal_code, e.account_id::text), e.amount,
            e.currency) ORDER BY e.transaction_id, e.line) AS lines
    FROM ledger.entry e
    WHERE e.kind = 'BOOK_TRANSFER'
    GROUP BY e.reference
), wanted AS (
    SELECT t.transfer_id,
        ARRAY[concat_ws(' ', 'BOOK_TRANSFER', t.account_id, -t.amount, t.currency),
            concat_ws(' ', 'BOOK_TRANSFER', t.destination_account_id, t.amount, t.currency)
        ] AS lines
    FROM transfers.book_transfer t
)
SELECT coalesce(w.transfer_id, p.reference)::text AS transfer_id, w.lines AS expected,
    p.lines AS actual, count(*) OVER () AS total
FROM wanted w
FULL JOIN posted p ON p.reference = w.transfer_id
WHERE w.lines IS DISTINCT FROM p.lines
ORDER BY 1
LIMIT $1;

-- name: entries_without_cause
-- Entries of a kind that neither a transfer nor an opening posts.
SELECT e.transaction_id::text AS transaction_id, e.line,
    'OPENING_BALANCE, INTERBANK_… or BOOK_TRANSFER' AS expected, e.kind AS actual,
    count(*) OVER () AS total
FROM ledger.entry e
WHERE e.kind NOT IN ('OPENING_BALANCE', 'INTERBANK_DEBIT', 'INTERBANK_REFUND', 'INTERBANK_RETURN',
    'INTERBANK_SETTLE', 'BOOK_TRANSFER')
ORDER BY 1, 2
LIMIT $1;

-- name: internal_balances
-- Clearing must hold the sum of the unfinished transfers, settlement that of the completed ones.
WITH held AS (
    SELECT k.code, k.currency, sum(k.amount) AS amount
    FROM (SELECT c.code, c.currency, c.balance FROM ledger.internal_checkpoint c
          UNION ALL
          SELECT p.code, p.currency, p.amount FROM ledger.internal_pending p
    ) AS k (code, currency, amount)
    WHERE k.code IN ('ACH_CLEARING', 'SETTLEMENT')
    GROUP BY k.code, k.currency
), owed AS (
    SELECT s.code, t.currency, sum(t.amount) AS amount
    FROM payments.interbank_transfer t
    JOIN (VALUES ('DEBITED', 'ACH_CLEARING'), ('OUTCOME_UNKNOWN', 'ACH_CLEARING'),
                 ('CANCELLING', 'ACH_CLEARING'), ('SUBMITTED', 'ACH_CLEARING'),
                 ('COMPLETED', 'SETTLEMENT')) AS s (state, code) USING (state)
    GROUP BY s.code, t.currency
)
SELECT coalesce(h.code, o.code) AS code, coalesce(h.currency, o.currency) AS currency,
    coalesce(o.amount, 0) AS expected, coalesce(h.amount, 0) AS actual
FROM held h
FULL JOIN owed o ON o.code = h.code AND o.currency = h.currency
WHERE coalesce(o.amount, 0) <> coalesce(h.amount, 0)
ORDER BY 1, 2;

-- name: overdue
-- Pending transfers whose lease ended long ago: a worker should have claimed them.
SELECT t.transfer_id::text AS transfer_id, t.state, t.lease_owner,
    'claimed within ' || $2::integer || ' s of ' || t.lease_until AS expected,
    'waiting since ' || t.update_time AS actual, count(*) OVER () AS total
FROM payments.interbank_transfer t
WHERE t.state IN ('DEBITED', 'OUTCOME_UNKNOWN', 'CANCELLING')
  AND t.lease_until < clock_timestamp() - make_interval(secs => $2::integer)
ORDER BY 1
LIMIT $1;

-- name: in_clearing
-- Transfers whose money is in clearing past the deadline of their state, claimed or not. A
-- postponed attempt does not change update_time, so update_time is the time when the transfer
-- entered its state.
SELECT t.transfer_id::text AS transfer_id, t.state, t.attempts,
    'left ' || t.state || ' within ' || d.deadline AS expected,
    'in this state since ' || t.update_time AS actual, count(*) OVER () AS total
FROM payments.interbank_transfer t
JOIN (VALUES ('DEBITED', make_interval(secs => $2::integer)),
             ('OUTCOME_UNKNOWN', make_interval(secs => $2::integer)),
             ('CANCELLING', make_interval(secs => $2::integer)),
             ('SUBMITTED', make_interval(secs => $3::integer))) AS d (state, deadline)
    USING (state)
WHERE t.update_time < clock_timestamp() - d.deadline
ORDER BY 1
LIMIT $1;

-- name: keys
-- Interbank transfers without their key, and keys without an interbank or book transfer. A failed
-- transfer frees its key, unless the bank had already answered the request. Keys are forgotten
-- after 400 days. A table lists the transfers that lost their key to a book transfer.
SELECT coalesce(t.transfer_id, k.transfer_id)::text AS transfer_id, t.state,
    coalesce(t.idempotency_key, k.idempotency_key) AS idempotency_key,
    CASE WHEN t.transfer_id IS NULL THEN 'a transfer'
        WHEN t.state = 'FAILED' AND t.accepted_response IS NULL THEN 'no key'
        ELSE t.idempotency_key END AS expected,
    CASE WHEN t.transfer_id IS NULL THEN 'no transfer'
        ELSE coalesce(k.idempotency_key, 'no key') END AS actual,
    count(*) OVER () AS total
FROM payments.interbank_transfer t
FULL JOIN payments.idempotency_key k
    ON k.shard = t.shard AND k.customer_id = t.customer_id AND k.transfer_id = t.transfer_id
LEFT JOIN transfers.book_transfer b
    ON b.customer_id = k.customer_id AND b.transfer_id = k.transfer_id
WHERE t.transfer_id IS NULL AND b.transfer_id IS NULL
   OR (t.state = 'FAILED' AND t.accepted_response IS NULL) <> (k.transfer_id IS NULL)
       AND t.transfer_id > chassis.id_floor(now() - interval '400 days')
       AND NOT (k.transfer_id IS NULL AND EXISTS (
           SELECT FROM payments.transfer_without_key w
           WHERE w.shard = t.shard AND w.transfer_id = t.transfer_id))
   OR k.idempotency_key <> t.idempotency_key
ORDER BY 1
LIMIT $1;

-- name: book_keys
-- Book transfers of the last 400 days without exactly one key. A table lists the transfers
-- that lost their key to an interbank transfer.
SELECT t.transfer_id::text, 'one key' AS expected,
    coalesce(string_agg(k.idempotency_key, ' and ' ORDER BY k.idempotency_key), 'no key') AS actual,
    count(*) OVER () AS total
FROM transfers.book_transfer t
LEFT JOIN payments.idempotency_key k
    ON k.customer_id = t.customer_id AND k.transfer_id = t.transfer_id
LEFT JOIN payments.transfer_without_key w
    ON w.shard = t.shard AND w.transfer_id = t.transfer_id
GROUP BY t.transfer_id
HAVING count(k.transfer_id) > 1
    OR count(k.transfer_id) = 0 AND count(w.transfer_id) = 0
        AND t.transfer_id > chassis.id_floor(now() - interval '400 days')
ORDER BY 1
LIMIT $1;

-- name: traces_doubled
-- Trace numbers of more than one transfer within 75 days. After that time the clearing house may
-- use a number again.
SELECT n.trace_number, 'one transfer within 75 days' AS expected,
    array_agg(n.transfer_id::text ORDER BY n.transfer_id) AS actual, count(*) OVER () AS total
FROM (
    SELECT t.trace_number, t.transfer_id,
        t.create_time - lag(t.create_time) OVER same AS since_last,
        lead(t.create_time) OVER same - t.create_time AS until_next
    FROM payments.interbank_transfer t
    WHERE t.trace_number IS NOT NULL
    WINDOW same AS (PARTITION BY t.trace_number ORDER BY t.create_time, t.transfer_id)
) AS n
WHERE least(n.since_last, n.until_next) < interval '75 days'
GROUP BY n.trace_number
ORDER BY 1
LIMIT $1;

-- name: outbox_waiting
-- Events that the relay has not published.
SELECT e.event_id::text AS event_id, e.topic, e.subject::text AS transfer_id,
    'published' AS expected, 'waiting since ' || e.create_time AS actual, count(*) OVER () AS total
FROM outbox.event e
ORDER BY e.id
LIMIT $1;

-- name: outbox_parked
-- Events that the relay parked.
SELECT p.event_id::text AS event_id, p.topic, p.subject::text AS transfer_id,
    'published' AS expected, p.reason AS actual, count(*) OVER () AS total
FROM outbox.parked p
ORDER BY p.id
LIMIT $1;

-- name: event_counts
-- Transfers that wrote more or fewer events than they had steps. A declined order, an hour of
-- only counted orders, and a review have one event each. Transfers are skipped if the published
-- events of their month were dropped.
WITH horizon AS (
    SELECT chassis.id_floor(min(to_date(right(c.relname, 7), 'YYYY_MM'))::timestamp
        AT TIME ZONE 'UTC') AS first_id
    FROM pg_inherits h JOIN pg_class c ON c.oid = h.inhrelid
    WHERE h.inhparent = 'outbox.published'::regclass
), steps AS (
    SELECT t.transfer_id, t.version + (r.event_id IS NOT NULL)::int AS steps
    FROM payments.interbank_transfer t
    LEFT JOIN payments.review_decision r USING (transfer_id)
    UNION ALL
    SELECT transfer_id, 1 FROM transfers.book_transfer
    UNION ALL
    SELECT decline_id, 1 FROM payments.declined_order
    UNION ALL
    SELECT decline_id, 1 FROM transfers.declined_order
    UNION ALL
    SELECT report_id, 1 FROM payments.declines_of_hour WHERE report_id IS NOT NULL
), told AS (
    SELECT s.subject, count(*) AS events
    FROM (SELECT subject FROM outbox.published WHERE topic IN ('payments', 'transfers')
          UNION ALL SELECT subject FROM outbox.event WHERE topic IN ('payments', 'transfers')
          UNION ALL SELECT subject FROM outbox.parked WHERE topic IN ('payments', 'transfers')
    ) AS s (subject)
    GROUP BY s.subject
)
SELECT coalesce(s.transfer_id, t.subject)::text AS transfer_id, coalesce(s.steps, 0) AS expected,
    coalesce(t.events, 0) AS actual, count(*) OVER () AS total
FROM steps s
FULL JOIN told t ON t.subject = s.transfer_id
WHERE coalesce(s.steps, 0) <> coalesce(t.events, 0)
  AND coalesce(s.transfer_id, t.subject) >= (SELECT first_id FROM horizon)
ORDER BY 1
LIMIT $1;

-- name: published_from
-- The first event id of the oldest month with stored published events.
SELECT chassis.id_floor(min(to_date(right(c.relname, 7), 'YYYY_MM'))::timestamp
    AT TIME ZONE 'UTC')
FROM pg_inherits h JOIN pg_class c ON c.oid = h.inhrelid
WHERE h.inhparent = 'outbox.published'::regclass;

-- name: published
-- Topic, partition and offset of every published event.
SELECT event_id::text, topic, partition, kafka_offset FROM outbox.published;

-- name: interbank_transfers
-- Every interbank transfer, with what the clearing house and the events should agree with.
SELECT transfer_id::text, state, version, coalesce(trace_number, '') AS trace_number, amount,
    currency
FROM payments.interbank_transfer;

-- name: accounts
-- The balance of every customer account.
SELECT account_id::text, currency, balance, position FROM ledger.account;
