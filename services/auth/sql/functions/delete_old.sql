-- Deletes receipts of text messages after 30 days and devices 400 days after their last login, at
-- most `rows_max` of each, and returns how many. The service calls it daily.
CREATE OR REPLACE FUNCTION auth.delete_old(rows_max integer) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    WITH receipts AS (
        DELETE FROM auth.sms_receipt r WHERE r.message_id IN (
            SELECT o.message_id FROM auth.sms_receipt o
            WHERE o.receipt_time < now() - interval '30 days' LIMIT rows_max)
        RETURNING 1
    ), devices AS (
        DELETE FROM auth.device d WHERE d.device_id IN (
            SELECT o.device_id FROM auth.device o
            WHERE o.last_login_time < now() - interval '400 days' LIMIT rows_max)
        RETURNING 1
    )
    SELECT (SELECT count(*) FROM receipts) + (SELECT count(*) FROM devices)
$$;
