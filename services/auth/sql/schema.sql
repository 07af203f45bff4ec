-- Schema auth of database bp_auth as the migrations of services/auth make it. `make gen` writes
-- this file and `make check` compares it; nothing runs it. Each function is in functions/. The
-- partitions that hold one month are left out; a function makes them.

CREATE SCHEMA auth;
ALTER SCHEMA auth OWNER TO auth_owner;

CREATE SEQUENCE auth.event_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE auth.event_id_seq OWNER TO auth_owner;

GRANT USAGE ON SCHEMA auth TO bp_auth;
GRANT USAGE ON SCHEMA auth TO bp_judge;
GRANT USAGE ON SCHEMA auth TO bp_operator;

GRANT USAGE ON SEQUENCE auth.event_id_seq TO bp_auth;

-- Devices with which customers completed a login. token_hash is the digest of the token that the
-- device keeps. credential_id and public_key are its WebAuthn key, empty without a key. A row is
-- deleted 400 days after the last login.
CREATE TABLE auth.device (
    device_id uuid NOT NULL,
    customer_id uuid NOT NULL,
    device_name text NOT NULL,
    token_hash bytea NOT NULL,
    credential_id bytea DEFAULT '\x'::bytea NOT NULL,
    public_key bytea DEFAULT '\x'::bytea NOT NULL,
    sign_count bigint DEFAULT 0 NOT NULL,
    create_time timestamp with time zone NOT NULL,
    last_login_time timestamp with time zone NOT NULL,
    remove_time timestamp with time zone,
    CONSTRAINT device_credential_id_check CHECK ((octet_length(credential_id) <= 1023)),
    CONSTRAINT device_device_name_check CHECK ((length(device_name) <= 64)),
    CONSTRAINT device_public_key_check CHECK ((octet_length(public_key) <= 2048)),
    CONSTRAINT device_sign_count_check CHECK ((sign_count >= 0)),
    CONSTRAINT device_token_hash_check CHECK ((octet_length(token_hash) = 32))
);
ALTER TABLE auth.device OWNER TO auth_owner;

ALTER TABLE ONLY auth.device
    ADD CONSTRAINT device_pkey PRIMARY KEY (device_id);

ALTER TABLE ONLY auth.device
    ADD CONSTRAINT device_token_hash_key UNIQUE (token_hash);

-- A key belongs to one device.
CREATE UNIQUE INDEX device_key ON auth.device USING btree (credential_id) WHERE (credential_id <>
    '\x'::bytea);

-- For the devices that were not used for long.
CREATE INDEX device_last_login ON auth.device USING btree (last_login_time);

-- For the devices of a customer, the last used first.
CREATE INDEX device_of_customer ON auth.device USING btree (customer_id, last_login_time DESC,
    device_id DESC) WHERE (remove_time IS NULL);

ALTER TABLE ONLY auth.device
    ADD CONSTRAINT device_customer_id_fkey FOREIGN KEY (customer_id) REFERENCES
        auth.users(customer_id);

GRANT SELECT,INSERT ON TABLE auth.device TO bp_auth;

GRANT SELECT(device_id) ON TABLE auth.device TO bp_judge;

GRANT SELECT(customer_id) ON TABLE auth.device TO bp_judge;

GRANT SELECT(device_name) ON TABLE auth.device TO bp_judge;

GRANT UPDATE(credential_id) ON TABLE auth.device TO bp_auth;

GRANT UPDATE(public_key) ON TABLE auth.device TO bp_auth;

GRANT UPDATE(sign_count) ON TABLE auth.device TO bp_auth;

GRANT SELECT(create_time) ON TABLE auth.device TO bp_judge;

GRANT UPDATE(last_login_time) ON TABLE auth.device TO bp_auth;
GRANT SELECT(last_login_time) ON TABLE auth.device TO bp_judge;

GRANT UPDATE(remove_time) ON TABLE auth.device TO bp_auth;
GRANT SELECT(remove_time) ON TABLE auth.device TO bp_judge;

-- Events about logins, written with the change that caused them, for 60 days. publish_time is set
-- once Kafka has the event; park_reason says why Kafka never will. `id` is drawn after the
-- customer's row is locked, so for one key the order of ids is the order of commits. Monthly
-- partitions: event_id is a UUIDv7.
CREATE TABLE auth.event (
    id bigint DEFAULT nextval('auth.event_id_seq'::regclass) NOT NULL,
    event_id uuid NOT NULL,
    key uuid NOT NULL,
    event_type text NOT NULL,
    subject uuid NOT NULL,
    payload bytea NOT NULL,
    traceparent text DEFAULT ''::text NOT NULL,
    create_time timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    publish_time timestamp with time zone,
    park_reason text,
    CONSTRAINT event_event_id_check CHECK ((uuid_extract_version(event_id) = 7)),
    CONSTRAINT event_event_type_check CHECK (((length(event_type) >= 1) AND (length(event_type) <=
        128))),
    CONSTRAINT event_payload_check CHECK ((octet_length(payload) <= 65536)),
    CONSTRAINT event_traceparent_check CHECK ((octet_length(traceparent) <= 64))
)
PARTITION BY RANGE (event_id);
ALTER TABLE auth.event OWNER TO auth_owner;

ALTER TABLE ONLY auth.event ATTACH PARTITION auth.event_other DEFAULT;

ALTER TABLE ONLY auth.event
    ADD CONSTRAINT event_pkey PRIMARY KEY (event_id);

-- For the events to publish, oldest first.
CREATE INDEX event_waiting ON ONLY auth.event USING btree (id) WHERE ((publish_time IS NULL) AND
    (park_reason IS NULL));

GRANT SELECT,INSERT ON TABLE auth.event TO bp_auth;
GRANT SELECT ON TABLE auth.event TO bp_judge;

GRANT UPDATE(publish_time) ON TABLE auth.event TO bp_auth;

GRANT UPDATE(park_reason) ON TABLE auth.event TO bp_auth;

-- Events whose month has no partition.
CREATE TABLE auth.event_other (
    id bigint DEFAULT nextval('auth.event_id_seq'::regclass) CONSTRAINT event_id_not_null NOT NULL,
    event_id uuid CONSTRAINT event_event_id_not_null NOT NULL,
    key uuid CONSTRAINT event_key_not_null NOT NULL,
    event_type text CONSTRAINT event_event_type_not_null NOT NULL,
    subject uuid CONSTRAINT event_subject_not_null NOT NULL,
    payload bytea CONSTRAINT event_payload_not_null NOT NULL,
    traceparent text DEFAULT ''::text CONSTRAINT event_traceparent_not_null NOT NULL,
    create_time timestamp with time zone DEFAULT clock_timestamp() CONSTRAINT
        event_create_time_not_null NOT NULL,
    publish_time timestamp with time zone,
    park_reason text,
    CONSTRAINT event_event_id_check CHECK ((uuid_extract_version(event_id) = 7)),
    CONSTRAINT event_event_type_check CHECK (((length(event_type) >= 1) AND (length(event_type) <=
        128))),
    CONSTRAINT event_payload_check CHECK ((octet_length(payload) <= 65536)),
    CONSTRAINT event_traceparent_check CHECK ((octet_length(traceparent) <= 64))
);
ALTER TABLE auth.event_other OWNER TO auth_owner;

ALTER TABLE ONLY auth.event_other
    ADD CONSTRAINT event_other_pkey PRIMARY KEY (event_id);

CREATE INDEX event_other_id_idx ON auth.event_other USING btree (id) WHERE ((publish_time IS NULL)
    AND (park_reason IS NULL));

-- Pictures with which the face of a customer is compared, encrypted by OpenBao.
CREATE TABLE auth.face (
    customer_id uuid NOT NULL,
    picture_sealed text NOT NULL,
    create_time timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT face_picture_sealed_check CHECK (((octet_length(picture_sealed) >= 1) AND
        (octet_length(picture_sealed) <= 3145728)))
);
ALTER TABLE ONLY auth.face ALTER COLUMN picture_sealed SET STORAGE EXTERNAL;
ALTER TABLE auth.face OWNER TO auth_owner;

ALTER TABLE ONLY auth.face
    ADD CONSTRAINT face_pkey PRIMARY KEY (customer_id);

ALTER TABLE ONLY auth.face
    ADD CONSTRAINT face_customer_id_fkey FOREIGN KEY (customer_id) REFERENCES
        auth.users(customer_id);

GRANT SELECT ON TABLE auth.face TO bp_auth;

-- What operators asked auth to do for a customer with `bpctl auth`, for 60 days: who, why, and how
-- many counters of tries or sessions ended. The audit trail keeps it longer, as events.
CREATE TABLE auth.operator_request (
    request_id uuid NOT NULL,
    kind text NOT NULL,
    customer_id uuid NOT NULL,
    os_user text NOT NULL,
    note text NOT NULL,
    create_time timestamp with time zone DEFAULT now() NOT NULL,
    answer_time timestamp with time zone,
    ended integer,
    CONSTRAINT operator_request_check CHECK (((answer_time IS NULL) = (ended IS NULL))),
    CONSTRAINT operator_request_ended_check CHECK ((ended >= 0)),
    CONSTRAINT operator_request_kind_check CHECK ((kind = ANY (ARRAY['UNLOCK'::text,
        'END_SESSIONS'::text]))),
    CONSTRAINT operator_request_note_check CHECK (((btrim(note) <> ''::text) AND (octet_length(note)
        <= 2000))),
    CONSTRAINT operator_request_os_user_check CHECK (((os_user <> ''::text) AND
        (octet_length(os_user) <= 128) AND (os_user !~ '[[:cntrl:]]'::text)))
);
ALTER TABLE auth.operator_request OWNER TO auth_owner;

ALTER TABLE ONLY auth.operator_request
    ADD CONSTRAINT operator_request_pkey PRIMARY KEY (request_id);

-- For the requests that are deleted.
CREATE INDEX operator_request_answered ON auth.operator_request USING btree (answer_time) WHERE
    (answer_time IS NOT NULL);

-- For the requests that auth has to carry out.
CREATE INDEX operator_request_open ON auth.operator_request USING btree (create_time) WHERE
    (answer_time IS NULL);

ALTER TABLE ONLY auth.operator_request
    ADD CONSTRAINT operator_request_customer_id_fkey FOREIGN KEY (customer_id) REFERENCES
        auth.users(customer_id);

GRANT SELECT ON TABLE auth.operator_request TO bp_auth;
GRANT SELECT ON TABLE auth.operator_request TO bp_judge;

GRANT UPDATE(answer_time) ON TABLE auth.operator_request TO bp_auth;

GRANT UPDATE(ended) ON TABLE auth.operator_request TO bp_auth;

-- The process that publishes events, and until when no other process may. One row.
CREATE TABLE auth.publisher (
    only_row boolean DEFAULT true NOT NULL,
    holder uuid NOT NULL,
    lease_until timestamp with time zone NOT NULL,
    CONSTRAINT publisher_only_row_check CHECK (only_row)
)
WITH (fillfactor='10');
ALTER TABLE auth.publisher OWNER TO auth_owner;

ALTER TABLE ONLY auth.publisher
    ADD CONSTRAINT publisher_pkey PRIMARY KEY (only_row);

GRANT SELECT ON TABLE auth.publisher TO bp_auth;

GRANT UPDATE(holder) ON TABLE auth.publisher TO bp_auth;

GRANT UPDATE(lease_until) ON TABLE auth.publisher TO bp_auth;

-- Keyed digests of the codes that replace an authenticator app. Each is right once.
CREATE TABLE auth.recovery_code (
    customer_id uuid NOT NULL,
    code_hash bytea NOT NULL,
    use_time timestamp with time zone,
    CONSTRAINT recovery_code_code_hash_check CHECK ((octet_length(code_hash) = 32))
);
ALTER TABLE auth.recovery_code OWNER TO auth_owner;

ALTER TABLE ONLY auth.recovery_code
    ADD CONSTRAINT recovery_code_pkey PRIMARY KEY (customer_id, code_hash);

ALTER TABLE ONLY auth.recovery_code
    ADD CONSTRAINT recovery_code_customer_id_fkey FOREIGN KEY (customer_id) REFERENCES
        auth.users(customer_id);

GRANT SELECT,INSERT,DELETE ON TABLE auth.recovery_code TO bp_auth;

GRANT UPDATE(use_time) ON TABLE auth.recovery_code TO bp_auth;

-- Sessions of customers on devices. A session ends at expire_time, or before it at end_time with a
-- cause. Monthly partitions, kept for 60 days: session_id is a UUIDv7, so a range of ids is a range
-- of time.
CREATE TABLE auth.session (
    session_id uuid NOT NULL,
    customer_id uuid NOT NULL,
    device_id uuid NOT NULL,
    create_time timestamp with time zone NOT NULL,
    refresh_time timestamp with time zone NOT NULL,
    expire_time timestamp with time zone NOT NULL,
    end_time timestamp with time zone,
    end_cause text,
    CONSTRAINT session_check CHECK (((end_time IS NULL) = (end_cause IS NULL)))
)
PARTITION BY RANGE (session_id);
ALTER TABLE auth.session OWNER TO auth_owner;

ALTER TABLE ONLY auth.session ATTACH PARTITION auth.session_other DEFAULT;

ALTER TABLE ONLY auth.session
    ADD CONSTRAINT session_pkey PRIMARY KEY (session_id);

-- For the sessions that ended in the last minutes.
CREATE INDEX session_ended ON ONLY auth.session USING btree (end_time) WHERE (end_time IS NOT NULL);

-- For the sessions of a customer, newest first.
CREATE INDEX session_open ON ONLY auth.session USING btree (customer_id, session_id DESC) WHERE
    (end_time IS NULL);

GRANT SELECT,INSERT ON TABLE auth.session TO bp_auth;
GRANT SELECT ON TABLE auth.session TO bp_judge;

GRANT UPDATE(refresh_time) ON TABLE auth.session TO bp_auth;

GRANT UPDATE(end_time) ON TABLE auth.session TO bp_auth;

GRANT UPDATE(end_cause) ON TABLE auth.session TO bp_auth;

-- Sessions whose month has no partition.
CREATE TABLE auth.session_other (
    session_id uuid CONSTRAINT session_session_id_not_null NOT NULL,
    customer_id uuid CONSTRAINT session_customer_id_not_null NOT NULL,
    device_id uuid CONSTRAINT session_device_id_not_null NOT NULL,
    create_time timestamp with time zone CONSTRAINT session_create_time_not_null NOT NULL,
    refresh_time timestamp with time zone CONSTRAINT session_refresh_time_not_null NOT NULL,
    expire_time timestamp with time zone CONSTRAINT session_expire_time_not_null NOT NULL,
    end_time timestamp with time zone,
    end_cause text,
    CONSTRAINT session_check CHECK (((end_time IS NULL) = (end_cause IS NULL)))
);
ALTER TABLE auth.session_other OWNER TO auth_owner;

ALTER TABLE ONLY auth.session_other
    ADD CONSTRAINT session_other_pkey PRIMARY KEY (session_id);

CREATE INDEX session_other_customer_id_session_id_idx ON auth.session_other USING btree
    (customer_id, session_id DESC) WHERE (end_time IS NULL);

CREATE INDEX session_other_end_time_idx ON auth.session_other USING btree (end_time) WHERE (end_time
    IS NOT NULL);

-- The latest delivery receipt of each text message, for 30 days. error_code is empty when the
-- message was not refused.
CREATE TABLE auth.sms_receipt (
    message_id text NOT NULL,
    state text NOT NULL,
    error_code text DEFAULT ''::text NOT NULL,
    receipt_time timestamp with time zone NOT NULL,
    CONSTRAINT sms_receipt_error_code_check CHECK ((length(error_code) <= 64)),
    CONSTRAINT sms_receipt_message_id_check CHECK (((length(message_id) >= 1) AND
        (length(message_id) <= 128))),
    CONSTRAINT sms_receipt_state_check CHECK (((length(state) >= 1) AND (length(state) <= 64)))
);
ALTER TABLE auth.sms_receipt OWNER TO auth_owner;

ALTER TABLE ONLY auth.sms_receipt
    ADD CONSTRAINT sms_receipt_pkey PRIMARY KEY (message_id);

-- For the receipts that are deleted.
CREATE INDEX sms_receipt_time ON auth.sms_receipt USING btree (receipt_time);

GRANT SELECT,INSERT ON TABLE auth.sms_receipt TO bp_auth;

GRANT UPDATE(state) ON TABLE auth.sms_receipt TO bp_auth;

GRANT UPDATE(error_code) ON TABLE auth.sms_receipt TO bp_auth;

GRANT UPDATE(receipt_time) ON TABLE auth.sms_receipt TO bp_auth;

-- Authenticator apps (RFC 6238). The secret is encrypted by OpenBao. An app without confirm_time is
-- not used yet. last_step is the time step of the last right code: only later codes are right.
CREATE TABLE auth.totp (
    customer_id uuid NOT NULL,
    secret_sealed text NOT NULL,
    confirm_time timestamp with time zone,
    last_step bigint DEFAULT 0 NOT NULL,
    create_time timestamp with time zone NOT NULL,
    CONSTRAINT totp_secret_sealed_check CHECK ((octet_length(secret_sealed) <= 2048))
);
ALTER TABLE auth.totp OWNER TO auth_owner;

ALTER TABLE ONLY auth.totp
    ADD CONSTRAINT totp_pkey PRIMARY KEY (customer_id);

ALTER TABLE ONLY auth.totp
    ADD CONSTRAINT totp_customer_id_fkey FOREIGN KEY (customer_id) REFERENCES
        auth.users(customer_id);

GRANT SELECT,INSERT,DELETE ON TABLE auth.totp TO bp_auth;

GRANT UPDATE(secret_sealed) ON TABLE auth.totp TO bp_auth;

GRANT UPDATE(confirm_time) ON TABLE auth.totp TO bp_auth;

GRANT UPDATE(last_step) ON TABLE auth.totp TO bp_auth;

GRANT UPDATE(create_time) ON TABLE auth.totp TO bp_auth;

-- Customers who may log in. The indexes are keyed digests of the canonical e-mail address and of
-- the telephone number; OpenBao encrypted both. password_hash is bcrypt of a keyed digest.
-- failed_attempts counts the wrong passwords since the last login.
CREATE TABLE auth.users (
    customer_id uuid NOT NULL,
    email_index bytea NOT NULL,
    email_sealed text NOT NULL,
    phone_index bytea NOT NULL,
    phone_sealed text NOT NULL,
    locale text NOT NULL,
    password_hash bytea NOT NULL,
    failed_attempts integer DEFAULT 0 NOT NULL,
    last_login timestamp with time zone,
    password_change_time timestamp with time zone DEFAULT now() NOT NULL,
    create_time timestamp with time zone DEFAULT now() NOT NULL,
    login_epoch bigint DEFAULT 0 NOT NULL,
    CONSTRAINT users_email_index_check CHECK ((octet_length(email_index) = 32)),
    CONSTRAINT users_email_sealed_check CHECK ((octet_length(email_sealed) <= 2048)),
    CONSTRAINT users_failed_attempts_check CHECK ((failed_attempts >= 0)),
    CONSTRAINT users_locale_check CHECK ((locale = ANY (ARRAY['es'::text, 'en'::text]))),
    CONSTRAINT users_password_hash_check CHECK ((octet_length(password_hash) = 60)),
    CONSTRAINT users_phone_index_check CHECK ((octet_length(phone_index) = 32)),
    CONSTRAINT users_phone_sealed_check CHECK ((octet_length(phone_sealed) <= 2048))
)
WITH (fillfactor='80');
ALTER TABLE auth.users OWNER TO auth_owner;

ALTER TABLE ONLY auth.users
    ADD CONSTRAINT users_email_index_key UNIQUE (email_index);

ALTER TABLE ONLY auth.users
    ADD CONSTRAINT users_pkey PRIMARY KEY (customer_id);

GRANT SELECT ON TABLE auth.users TO bp_auth;

GRANT UPDATE(password_hash) ON TABLE auth.users TO bp_auth;

GRANT UPDATE(failed_attempts) ON TABLE auth.users TO bp_auth;

GRANT UPDATE(last_login) ON TABLE auth.users TO bp_auth;

GRANT UPDATE(password_change_time) ON TABLE auth.users TO bp_auth;

GRANT UPDATE(login_epoch) ON TABLE auth.users TO bp_auth;

-- functions/answer_to_operator.sql, owned by auth_owner
GRANT EXECUTE ON FUNCTION auth.answer_to_operator(uuid) TO bp_operator;

-- functions/delete_old.sql, owned by auth_owner
GRANT EXECUTE ON FUNCTION auth.delete_old(integer) TO bp_auth;

-- functions/drop_old_months.sql, owned by auth_owner
GRANT EXECUTE ON FUNCTION auth.drop_old_months() TO bp_auth;

-- functions/ensure_partitions.sql, owned by auth_owner
GRANT EXECUTE ON FUNCTION auth.ensure_partitions(integer, timestamp with time zone) TO bp_auth;

-- functions/request_by_operator.sql, owned by auth_owner
GRANT EXECUTE ON FUNCTION auth.request_by_operator(uuid, text, uuid, text, text) TO bp_operator;
