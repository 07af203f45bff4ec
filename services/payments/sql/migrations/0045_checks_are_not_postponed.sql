-- migrate:up

-- A notice with a used id requests a check within a minute. When the clearing house repeated the
-- notice each minute, the check never became due.
SET ROLE payments_owner;

-- Sets when the bank checks a transfer for a late return, unless the check is due earlier.
CREATE FUNCTION payments.check_return_by(
    shard smallint, transfer_id uuid, due_time timestamptz
) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    UPDATE payments.late_return_check c SET due_time = check_return_by.due_time
    WHERE c.shard = check_return_by.shard AND c.transfer_id = check_return_by.transfer_id
      AND c.due_time > check_return_by.due_time
$$;

GRANT EXECUTE ON FUNCTION payments.check_return_by(smallint, uuid, timestamptz) TO bp_payments;
RESET ROLE;

-- migrate:down
DROP FUNCTION payments.check_return_by(smallint, uuid, timestamptz);
