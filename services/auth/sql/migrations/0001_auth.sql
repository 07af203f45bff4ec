-- migrate:up

-- Who may log in, with which factors, from which devices, and the events about it. Everything
-- belongs to auth_owner, a role without a login.

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'auth_owner') THEN
        CREATE ROLE auth_owner NOLOGIN;
    END IF;
END $$;

CREATE SCHEMA auth AUTHORIZATION auth_owner;
REVOKE ALL ON SCHEMA auth FROM PUBLIC;
GRANT USAGE ON SCHEMA auth TO bp_auth, bp_judge;

SET ROLE auth_owner;

COMMENT ON SCHEMA auth IS
    'Logins of customers. A roll-back of migration 0001 is refused while there is a user or an '
    'event, so no roll-back can drop them.';

ALTER DEFAULT PRIVILEGES FOR ROLE auth_owner REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;

CREATE TABLE auth.users (
    customer_id          uuid PRIMARY KEY,
    email_index          bytea NOT NULL UNIQUE CHECK (octet_length(email_index) = 32),
    email_sealed         text NOT NULL CHECK (octet_length(email_sealed) <= 2048),
    phone_index          bytea NOT NULL CHECK (octet_length(phone_index) = 32),
    phone_sealed         text NOT NULL CHECK (octet_length(phone_sealed) <= 2048),
    locale               text NOT NULL CHECK (locale IN ('es', 'en')),
    password_hash        bytea NOT NULL CHECK (octet_length(password_hash) = 60),
    failed_attempts      integer NOT NULL DEFAULT 0 CHECK (failed_attempts >= 0),
    last_login           timestamptz,
    password_change_time timestamptz NOT NULL DEFAULT now(),
    create_time          timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 80);
COMMENT ON TABLE auth.users IS
    'Customers who may log in. The indexes are keyed digests of the canonical e-mail address and '
    'of the telephone number; OpenBao encrypted both. password_hash is bcrypt of a keyed digest. '
    'failed_attempts counts the wrong passwords since the last login.';

CREATE TABLE auth.device (
    device_id       uuid PRIMARY KEY,
    customer_id     uuid NOT NULL REFERENCES auth.users,
    device_name     text NOT NULL CHECK (length(device_name) <= 64),
    token_hash      bytea NOT NULL UNIQUE CHECK (octet_length(token_hash) = 32),
    credential_id   bytea NOT NULL DEFAULT '' CHECK (octet_length(credential_id) <= 1023),
    public_key      bytea NOT NULL DEFAULT '' CHECK (octet_length(public_key) <= 2048),
    sign_count      bigint NOT NULL DEFAULT 0 CHECK (sign_count >= 0),
    create_time     timestamptz NOT NULL,
    last_login_time timestamptz NOT NULL,
    remove_time     timestamptz
);
CREATE UNIQUE INDEX device_key ON auth.device (credential_id) WHERE credential_id <> '';
CREATE INDEX device_of_customer ON auth.device (customer_id, last_login_time DESC, device_id DESC)
    WHERE remove_time IS NULL;
CREATE INDEX device_last_login ON auth.device (last_login_time);
COMMENT ON TABLE auth.device IS
    'Devices with which customers completed a login. token_hash is the digest of the token that '
    'the device keeps. credential_id and public_key are its WebAuthn key, empty without a key. A '
    'row is deleted 400 days after the last login.';
COMMENT ON INDEX auth.device_key IS 'A key belongs to one device.';
COMMENT ON INDEX auth.device_of_customer IS 'For the devices of a customer, the last used first.';
COMMENT ON INDEX auth.device_last_login IS 'For the devices that were not used for long.';

CREATE TABLE auth.session (
    session_id   uuid PRIMARY KEY,
    customer_id  uuid NOT NULL,
    device_id    uuid NOT NULL,
    create_time  timestamptz NOT NULL,
    refresh_time timestamptz NOT NULL,
    expire_time  timestamptz NOT NULL,
    end_time     timestamptz,
    end_cause    text,
    CHECK ((end_time IS NULL) = (end_cause IS NULL))
) PARTITION BY RANGE (session_id);
CREATE INDEX session_open ON auth.session (customer_id, session_id DESC) WHERE end_time IS NULL;
CREATE INDEX session_ended ON auth.session (end_time) WHERE end_time IS NOT NULL;
COMMENT ON TABLE auth.session IS
    'Sessions of customers on devices. A session ends at expire_time, or before it at end_time '
    'with a cause. Monthly partitions, kept for 60 days: session_id is a UUIDv7, so a range of '
    'ids is a range of time.';
COMMENT ON INDEX auth.session_open IS 'For the sessions of a customer, newest first.';
COMMENT ON INDEX auth.session_ended IS 'For the sessions that ended in the last minutes.';
CREATE TABLE auth.session_other PARTITION OF auth.session DEFAULT;
COMMENT ON TABLE auth.session_other IS 'Sessions whose month has no partition.';

CREATE TABLE auth.totp (
    customer_id   uuid PRIMARY KEY REFERENCES auth.users,
    secret_sealed text NOT NULL CHECK (octet_length(secret_sealed) <= 2048),
    confirm_time  timestamptz,
    last_step     bigint NOT NULL DEFAULT 0,
    create_time   timestamptz NOT NULL
);
COMMENT ON TABLE auth.totp IS
    'Authenticator apps (RFC 6238). The secret is encrypted by OpenBao. An app without '
    'confirm_time is not used yet. last_step is the time step of the last right code: only later '
    'codes are right.';

CREATE TABLE auth.recovery_code (
    customer_id uuid NOT NULL REFERENCES auth.users,
    code_hash   bytea NOT NULL CHECK (octet_length(code_hash) = 32),
    use_time    timestamptz,
    PRIMARY KEY (customer_id, code_hash)
);
COMMENT ON TABLE auth.recovery_code IS
    'Keyed digests of the codes that replace an authenticator app. Each is right once.';

-- Ciphertext cannot be compressed.
CREATE TABLE auth.face (
    customer_id    uuid PRIMARY KEY REFERENCES auth.users,
    picture_sealed text STORAGE EXTERNAL NOT NULL
        CHECK (octet_length(picture_sealed) BETWEEN 1 AND 3145728),
    create_time    timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE auth.face IS
    'Pictures with which the face of a customer is compared, encrypted by OpenBao.';

CREATE TABLE auth.sms_receipt (
    message_id   text PRIMARY KEY CHECK (length(message_id) BETWEEN 1 AND 128),
    state        text NOT NULL CHECK (length(state) BETWEEN 1 AND 64),
    error_code   text NOT NULL DEFAULT '' CHECK (length(error_code) <= 64),
    receipt_time timestamptz NOT NULL
);
CREATE INDEX sms_receipt_time ON auth.sms_receipt (receipt_time);
COMMENT ON TABLE auth.sms_receipt IS
    'The latest delivery receipt of each text message, for 30 days. error_code is empty when the '
    'message was not refused.';
COMMENT ON INDEX auth.sms_receipt_time IS 'For the receipts that are deleted.';

-- Not an identity column: a partition that is attached later may not have one.
CREATE SEQUENCE auth.event_id_seq AS bigint CACHE 1;

CREATE TABLE auth.event (
    id           bigint NOT NULL DEFAULT nextval('auth.event_id_seq'),
    event_id     uuid PRIMARY KEY CHECK (uuid_extract_version(event_id) = 7),
    key          uuid NOT NULL,
    event_type   text NOT NULL CHECK (length(event_type) BETWEEN 1 AND 128),
    subject      uuid NOT NULL,
    payload      bytea NOT NULL CHECK (octet_length(payload) <= 65536),
    traceparent  text NOT NULL DEFAULT '' CHECK (octet_length(traceparent) <= 64),
    create_time  timestamptz NOT NULL DEFAULT clock_timestamp(),
    publish_time timestamptz,
    park_reason  text
) PARTITION BY RANGE (event_id);
CREATE INDEX event_waiting ON auth.event (id) WHERE publish_time IS NULL AND park_reason IS NULL;
COMMENT ON TABLE auth.event IS
    'Events about logins, written with the change that caused them, for 60 days. publish_time is '
    'set once Kafka has the event; park_reason says why Kafka never will. `id` is drawn after '
    'the customer''s row is locked, so for one key the order of ids is the order of commits. '
    'Monthly partitions: event_id is a UUIDv7.';
COMMENT ON INDEX auth.event_waiting IS 'For the events to publish, oldest first.';
CREATE TABLE auth.event_other PARTITION OF auth.event DEFAULT;
COMMENT ON TABLE auth.event_other IS 'Events whose month has no partition.';

CREATE TABLE auth.publisher (
    only_row    boolean NOT NULL DEFAULT true PRIMARY KEY CHECK (only_row),
    holder      uuid NOT NULL,
    lease_until timestamptz NOT NULL
) WITH (fillfactor = 10);
COMMENT ON TABLE auth.publisher IS
    'The process that publishes events, and until when no other process may. One row.';
INSERT INTO auth.publisher (holder, lease_until)
VALUES ('00000000-0000-0000-0000-000000000000', '-infinity');

-- Makes the missing monthly partitions of the two tables, from the month before `since` to
-- `months_ahead` after it, and returns how many it made. The service calls it daily.
CREATE FUNCTION auth.ensure_partitions(
    months_ahead integer DEFAULT 3, since timestamptz DEFAULT now()
) RETURNS integer
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT chassis.ensure_months('auth.session', months_ahead, since)
        + chassis.ensure_months('auth.event', months_ahead, since)
$$;

-- Drops sessions and events of months that ended more than 60 days ago, and returns how many months
-- it dropped. A session lasts 30 days. Months with an event that is not published are kept. The
-- service calls it daily.
CREATE FUNCTION auth.drop_old_months() RETURNS integer
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT chassis.drop_months('auth.session', interval '60 days')
        + chassis.drop_months('auth.event', greatest(interval '60 days', (
            -- An event's id may be a day older than its row.
            SELECT now() - min(e.create_time) + interval '1 day'
            FROM auth.event e WHERE e.publish_time IS NULL)))
$$;

-- Deletes receipts of text messages after 30 days and devices 400 days after their last login, at
-- most `rows_max` of each, and returns how many. The service calls it daily.
CREATE FUNCTION auth.delete_old(rows_max integer) RETURNS bigint
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

GRANT SELECT ON auth.users, auth.device, auth.session, auth.totp, auth.recovery_code, auth.face,
    auth.sms_receipt, auth.event, auth.publisher TO bp_auth;
GRANT UPDATE (password_hash, failed_attempts, last_login, password_change_time)
    ON auth.users TO bp_auth;
GRANT INSERT, UPDATE (credential_id, public_key, sign_count, last_login_time, remove_time)
    ON auth.device TO bp_auth;
GRANT INSERT, UPDATE (refresh_time, end_time, end_cause) ON auth.session TO bp_auth;
GRANT INSERT, UPDATE (secret_sealed, confirm_time, last_step, create_time), DELETE
    ON auth.totp TO bp_auth;
GRANT INSERT, UPDATE (use_time), DELETE ON auth.recovery_code TO bp_auth;
GRANT INSERT, UPDATE (state, error_code, receipt_time) ON auth.sms_receipt TO bp_auth;
GRANT INSERT, UPDATE (publish_time, park_reason) ON auth.event TO bp_auth;
GRANT USAGE ON SEQUENCE auth.event_id_seq TO bp_auth;
GRANT UPDATE (holder, lease_until) ON auth.publisher TO bp_auth;
GRANT EXECUTE ON FUNCTION auth.ensure_partitions(integer, timestamptz), auth.drop_old_months(),
    auth.delete_old(integer) TO bp_auth;
GRANT SELECT ON auth.event, auth.session TO bp_judge;

SELECT auth.ensure_partitions();

RESET ROLE;

-- migrate:down
DO $$
BEGIN
    IF EXISTS (SELECT FROM auth.users) OR EXISTS (SELECT FROM auth.event) THEN
        RAISE EXCEPTION 'schema auth holds users or events'
            USING ERRCODE = 'object_in_use',
                HINT = 'Keep them with a new migration, or restore a backup.';
    END IF;
END $$;
DROP SCHEMA auth CASCADE;
