-- Keeps a notice for a person; a repeated one changes nothing.
CREATE OR REPLACE FUNCTION payments.keep_conflict(
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
