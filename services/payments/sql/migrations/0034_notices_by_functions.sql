-- migrate:up

-- The service changes notices and checks for late returns only by functions. Processes of the
-- previous version change them directly, so their rights stay until the next version. Row security
-- lets those statements change no row and raise no error: what they would do is left to processes
-- of this version. A later migration does the same for notices.

-- All statements keep the columns that they change.
-- squawk-ignore revoked-right
REVOKE INSERT, UPDATE ON payments.late_return_check FROM bp_payments;
GRANT UPDATE (due_time, attempts) ON payments.late_return_check TO bp_payments;

SET ROLE payments_owner;

ALTER TABLE payments.late_return_check ENABLE ROW LEVEL SECURITY;
CREATE POLICY read ON payments.late_return_check FOR SELECT USING (true);

-- Claims the checks for late returns that are due before an instant, until another one, and returns
-- them. By ctid, because a plan that does not know the limit would read the whole table.
CREATE FUNCTION payments.claim_return_checks(
    until timestamptz, before timestamptz, rows_max integer
) RETURNS TABLE (
    shard smallint, transfer_id uuid, settle_time timestamptz, attempts integer
)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
ROWS 16
AS $$
    UPDATE payments.late_return_check c
    SET due_time = until, attempts = c.attempts + 1
    WHERE c.ctid = ANY (ARRAY(
        SELECT due.ctid
        FROM payments.late_return_check due
        WHERE due.due_time < before
        ORDER BY due.due_time
        LIMIT rows_max
        FOR UPDATE SKIP LOCKED))
    RETURNING c.shard, c.transfer_id, c.settle_time, c.attempts
$$;

-- Sets when the bank checks a transfer for a late return, if a check is left.
CREATE FUNCTION payments.check_return_at(
    shard smallint, transfer_id uuid, due_time timestamptz
) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    UPDATE payments.late_return_check c SET due_time = check_return_at.due_time
    WHERE c.shard = check_return_at.shard AND c.transfer_id = check_return_at.transfer_id
$$;

-- Ends the checks of a transfer for late returns.
CREATE FUNCTION payments.end_return_checks(shard smallint, transfer_id uuid)
RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    DELETE FROM payments.late_return_check c
    WHERE c.shard = end_return_checks.shard AND c.transfer_id = end_return_checks.transfer_id
$$;

-- Keeps a contradiction for a person and stops asking about its transfer. Returns the notice's id;
-- no row, and no change, when the transfer is no longer at `expected_version`.
CREATE FUNCTION payments.put_aside(
    shard smallint, transfer_id uuid, expected_version integer, notice_id text, type text,
    trace_number text
) RETURNS TABLE (kept_id text)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    WITH aside AS (
        UPDATE payments.interbank_transfer t
        SET lease_until = 'infinity'
        WHERE t.shard = put_aside.shard AND t.transfer_id = put_aside.transfer_id
            AND t.version = expected_version
        RETURNING t.transfer_id
    )
    INSERT INTO payments.ach_notice AS n
        (notice_id, type, trace_number, transfer_id, return_code, state)
    SELECT put_aside.notice_id, put_aside.type, put_aside.trace_number, a.transfer_id, '',
        'CONFLICT'
    FROM aside a
    ON CONFLICT (notice_id) DO UPDATE SET receive_time = clock_timestamp()
    RETURNING n.notice_id
$$;

-- Keeps a notice of the clearing house; a repeated one changes nothing. Returns the notice's state,
-- or REUSED if its id belongs to a notice with other content. Returns NULL for a notice that
-- another session is keeping at the same time.
CREATE FUNCTION payments.keep_notice(
    notice_id text, type text, trace_number text, transfer_id uuid, return_code text,
    content bytea
) RETURNS text
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    WITH kept AS (
        INSERT INTO payments.ach_notice AS n
            (notice_id, type, trace_number, transfer_id, return_code, content, state)
        VALUES (keep_notice.notice_id, keep_notice.type, keep_notice.trace_number,
            keep_notice.transfer_id, keep_notice.return_code, keep_notice.content, 'KEPT')
        ON CONFLICT DO NOTHING
        RETURNING n.state
    )
    SELECT k.state FROM kept k
    UNION ALL
    SELECT CASE WHEN (n.type, n.trace_number, n.return_code)
                = (keep_notice.type, keep_notice.trace_number, keep_notice.return_code)
            AND n.transfer_id IS NOT DISTINCT FROM keep_notice.transfer_id
            AND coalesce(n.content = keep_notice.content, true)
        THEN n.state ELSE 'REUSED' END
    FROM payments.ach_notice n WHERE n.notice_id = keep_notice.notice_id
    LIMIT 1
$$;

-- Keeps a notice for a person; a repeated one changes nothing.
CREATE FUNCTION payments.keep_conflict(
    notice_id text, type text, trace_number text, transfer_id uuid, return_code text,
    content bytea
) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    INSERT INTO payments.ach_notice
        (notice_id, type, trace_number, transfer_id, return_code, content, state)
    VALUES (keep_conflict.notice_id, keep_conflict.type, keep_conflict.trace_number,
        keep_conflict.transfer_id, keep_conflict.return_code, keep_conflict.content, 'CONFLICT')
    ON CONFLICT DO NOTHING
$$;

-- Sets the state of a kept notice that changed nothing.
CREATE FUNCTION payments.close_notice(notice_id text, state text) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    UPDATE payments.ach_notice n SET state = close_notice.state
    WHERE n.notice_id = close_notice.notice_id AND n.state = 'KEPT'
$$;

-- Ends the wait of kept notices that came before an instant, and returns them. Notices of the given
-- types whose transfer exists are left: they are about to be applied.
CREATE FUNCTION payments.give_up_notices(before timestamptz, types text[])
RETURNS TABLE (
    notice_id text, type text, trace_number text, transfer_id uuid, return_code text
)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    UPDATE payments.ach_notice n SET state = 'CONFLICT'
    WHERE n.state = 'KEPT' AND n.receive_time < before
      AND NOT (n.type = ANY (types)
        AND (EXISTS (SELECT FROM payments.interbank_transfer t
                     WHERE t.shard = ledger.shard_of(n.transfer_id)
                       AND t.transfer_id = n.transfer_id)
             OR n.transfer_id IS NULL AND EXISTS (
                 SELECT FROM payments.interbank_transfer t
                 WHERE t.trace_number = n.trace_number)))
    RETURNING n.notice_id, n.type, n.trace_number, n.transfer_id, n.return_code
$$;

GRANT EXECUTE ON FUNCTION
    payments.claim_return_checks(timestamptz, timestamptz, integer),
    payments.check_return_at(smallint, uuid, timestamptz),
    payments.end_return_checks(smallint, uuid),
    payments.put_aside(smallint, uuid, integer, text, text, text),
    payments.keep_notice(text, text, text, uuid, text, bytea),
    payments.keep_conflict(text, text, text, uuid, text, bytea),
    payments.close_notice(text, text),
    payments.give_up_notices(timestamptz, text[])
    TO bp_payments;

RESET ROLE;

-- migrate:down
SET ROLE payments_owner;

DROP FUNCTION payments.claim_return_checks(timestamptz, timestamptz, integer);
DROP FUNCTION payments.check_return_at(smallint, uuid, timestamptz);
DROP FUNCTION payments.end_return_checks(smallint, uuid);
DROP FUNCTION payments.put_aside(smallint, uuid, integer, text, text, text);
DROP FUNCTION payments.keep_notice(text, text, text, uuid, text, bytea);
DROP FUNCTION payments.keep_conflict(text, text, text, uuid, text, bytea);
DROP FUNCTION payments.close_notice(text, text);
DROP FUNCTION payments.give_up_notices(timestamptz, text[]);
DROP POLICY read ON payments.late_return_check;
ALTER TABLE payments.late_return_check DISABLE ROW LEVEL SECURITY;

RESET ROLE;
REVOKE UPDATE (due_time, attempts) ON payments.late_return_check FROM bp_payments;
GRANT INSERT, UPDATE ON payments.late_return_check TO bp_payments;
