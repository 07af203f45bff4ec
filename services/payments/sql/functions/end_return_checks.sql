-- Ends the checks of a transfer for late returns.
CREATE OR REPLACE FUNCTION payments.end_return_checks(shard smallint, transfer_id uuid)
RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    DELETE FROM payments.late_return_check c
    WHERE c.shard = end_return_checks.shard AND c.transfer_id = end_return_checks.transfer_id
$$;
