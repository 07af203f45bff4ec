-- Claims the checks for late returns that are due before an instant, until another one, and returns
-- them. By ctid, because a plan that does not know the limit would read the whole table.
CREATE OR REPLACE FUNCTION payments.claim_return_checks(
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
