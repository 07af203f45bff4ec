-- migrate:up

-- Operators have no right on the tables of logins. They record a request, and auth carries it out,
-- because only auth knows the names of the counters in Valkey.
GRANT USAGE ON SCHEMA auth TO bp_operator;

SET ROLE auth_owner;

CREATE TABLE auth.operator_request (
    request_id  uuid PRIMARY KEY,
    kind        text NOT NULL CHECK (kind IN ('UNLOCK', 'END_SESSIONS')),
    customer_id uuid NOT NULL REFERENCES auth.users,
    os_user     text NOT NULL CHECK (
        os_user <> '' AND octet_length(os_user) <= 128 AND os_user !~ '[[:cntrl:]]'),
    note        text NOT NULL CHECK (btrim(note) <> '' AND octet_length(note) <= 2000),
    create_time timestamptz NOT NULL DEFAULT now(),
    answer_time timestamptz,
    ended       integer CHECK (ended >= 0),
    CHECK ((answer_time IS NULL) = (ended IS NULL))
);
CREATE INDEX operator_request_open ON auth.operator_request (create_time)
    WHERE answer_time IS NULL;
CREATE INDEX operator_request_answered ON auth.operator_request (answer_time)
    WHERE answer_time IS NOT NULL;
COMMENT ON TABLE auth.operator_request IS
    'What operators asked auth to do for a customer with `bpctl auth`, for 60 days: who, why, and '
    'how many counters of tries or sessions ended. The audit trail keeps it longer, as events.';
COMMENT ON INDEX auth.operator_request_open IS 'For the requests that auth has to carry out.';
COMMENT ON INDEX auth.operator_request_answered IS 'For the requests that are deleted.';

-- Records what an operator wants auth to do for a customer: UNLOCK or END_SESSIONS. `os_user` is
-- the operating-system user of bpctl. Returns false when the customer has no login. Auth carries
-- it out within a second.
CREATE FUNCTION auth.request_by_operator(
    request_id uuid, kind text, customer_id uuid, os_user text, note text
) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '1s'
AS $$
#variable_conflict use_variable
BEGIN
    INSERT INTO auth.operator_request (request_id, kind, customer_id, os_user, note)
    SELECT request_id, kind, u.customer_id, os_user, note
    FROM auth.users u WHERE u.customer_id = request_by_operator.customer_id;
    RETURN FOUND;
END $$;

-- Returns how many counters of tries or sessions a request of an operator ended; NULL while auth
-- has not carried it out.
CREATE FUNCTION auth.answer_to_operator(request_id uuid) RETURNS integer
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT r.ended FROM auth.operator_request r
    WHERE r.request_id = answer_to_operator.request_id
$$;

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

GRANT EXECUTE ON FUNCTION auth.request_by_operator(uuid, text, uuid, text, text),
    auth.answer_to_operator(uuid) TO bp_operator;
GRANT SELECT, UPDATE (answer_time, ended) ON auth.operator_request TO bp_auth;
-- `bpctl auth sessions` shows the names of devices, and no secret of them.
GRANT SELECT (device_id, customer_id, device_name, create_time, last_login_time, remove_time)
    ON auth.device TO bp_judge;
GRANT SELECT ON auth.operator_request TO bp_judge;

RESET ROLE;

-- migrate:down
DO $$
BEGIN
    IF EXISTS (SELECT FROM auth.operator_request) THEN
        RAISE EXCEPTION 'auth.operator_request holds requests of operators'
            USING ERRCODE = 'object_in_use',
                HINT = 'Keep them with a new migration, or restore a backup.';
    END IF;
END $$;
SET ROLE auth_owner;

REVOKE SELECT (device_id, customer_id, device_name, create_time, last_login_time, remove_time)
    ON auth.device FROM bp_judge;
DROP FUNCTION auth.answer_to_operator(uuid);
DROP FUNCTION auth.request_by_operator(uuid, text, uuid, text, text);
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
DROP TABLE auth.operator_request;

RESET ROLE;

REVOKE USAGE ON SCHEMA auth FROM bp_operator;
