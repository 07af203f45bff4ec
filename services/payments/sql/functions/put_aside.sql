-- Keeps a contradiction for a person and stops asking about its transfer. Returns the notice's id;
-- no row, and no change, when the transfer is no longer at `expected_version`.
CREATE OR REPLACE FUNCTION payments.put_aside(
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
