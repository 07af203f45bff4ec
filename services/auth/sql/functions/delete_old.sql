-- Deletes receipts of text messages after 30 days, requests of operators 60 days after their
-- answer, and devices 400 days after their last login, at most `rows_max` of each, and returns how
-- many. The service calls it daily.
CREATE OR REPLACE FUNCTION auth.delete_old(rows_max integer) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    WITH receipts AS (
        DELETE FROM auth.sms_receipt r WHERE r.message_id IN (
            SELECT o.message_id FROM auth.sms_receipt o
            WHERE o.receipt_time < now() - interval '30 days' LIMIT rows_max)
        RETURNING 1
    ), requests AS (
        DELETE FROM auth.operator_request r WHERE r.request_id IN (
            SELECT o.request_id FROM auth.operator_request o
            WHERE o.answer_time < now() - interval '60 days' LIMIT rows_max)
        RETURNING 1
    ), devices AS (
        DELETE FROM auth.device d WHERE d.device_id IN (
            SELECT o.device_id FROM auth.device o
            WHERE o.last_login_time < now() - interval '400 days' LIMIT rows_max)
        RETURNING 1
    )
    SELECT (SELECT count(*) FROM receipts) + (SELECT count(*) FROM requests)
        + (SELECT count(*) FROM devices)
$$;
