-- Keeps a notice of the clearing house; a repeated one changes nothing. Returns the notice's state,
-- or REUSED if its id belongs to a notice with other content. Returns NULL for a notice that
-- another session is keeping at the same time.
CREATE OR REPLACE FUNCTION payments.keep_notice(
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
