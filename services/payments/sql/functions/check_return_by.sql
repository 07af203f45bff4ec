-- Sets when the bank checks a transfer for a late return, unless the check is due earlier.
CREATE OR REPLACE FUNCTION payments.check_return_by(
    shard smallint, transfer_id uuid, due_time timestamptz
) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    UPDATE payments.late_return_check c SET due_time = check_return_by.due_time
    WHERE c.shard = check_return_by.shard AND c.transfer_id = check_return_by.transfer_id
      AND c.due_time > check_return_by.due_time
$$;
