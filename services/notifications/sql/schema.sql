-- Schema notif of database bp_notifications as the migrations of services/notifications make it.
-- `make gen` writes this file and `make check` compares it; nothing runs it. Each function is in
-- functions/. The partitions that hold one month are left out; a function makes them.

CREATE SCHEMA notif;
ALTER SCHEMA notif OWNER TO notif_owner;

GRANT USAGE ON SCHEMA notif TO bp_notifications;
GRANT USAGE ON SCHEMA notif TO bp_judge;

-- One message on one channel to one device. next_attempt_time is also the lease of the process that
-- sends it: until then no other process may. attempts is raised before the message is sent, so it
-- is never too low.
CREATE TABLE notif.delivery (
    notification_id uuid NOT NULL,
    channel text NOT NULL,
    device text NOT NULL,
    state text NOT NULL,
    attempts integer DEFAULT 1 NOT NULL,
    next_attempt_time timestamp with time zone NOT NULL,
    deliver_time timestamp with time zone,
    detail text DEFAULT ''::text NOT NULL,
    CONSTRAINT delivery_channel_check CHECK ((channel = 'PUSH'::text)),
    CONSTRAINT delivery_state_check CHECK ((state = ANY (ARRAY['PENDING'::text, 'DELIVERED'::text,
        'UNDELIVERABLE'::text])))
)
PARTITION BY RANGE (notification_id);
ALTER TABLE notif.delivery OWNER TO notif_owner;

ALTER TABLE ONLY notif.delivery ATTACH PARTITION notif.delivery_other DEFAULT;

ALTER TABLE ONLY notif.delivery
    ADD CONSTRAINT delivery_pkey PRIMARY KEY (notification_id, channel, device);

-- For the deliveries that are due.
CREATE INDEX delivery_pending ON ONLY notif.delivery USING btree (next_attempt_time) WHERE (state =
    'PENDING'::text);

GRANT SELECT,INSERT ON TABLE notif.delivery TO bp_notifications;
GRANT SELECT ON TABLE notif.delivery TO bp_judge;

GRANT UPDATE(state) ON TABLE notif.delivery TO bp_notifications;

GRANT UPDATE(attempts) ON TABLE notif.delivery TO bp_notifications;

GRANT UPDATE(next_attempt_time) ON TABLE notif.delivery TO bp_notifications;

GRANT UPDATE(deliver_time) ON TABLE notif.delivery TO bp_notifications;

GRANT UPDATE(detail) ON TABLE notif.delivery TO bp_notifications;

-- Deliveries whose month has no partition.
CREATE TABLE notif.delivery_other (
    notification_id uuid CONSTRAINT delivery_notification_id_not_null NOT NULL,
    channel text CONSTRAINT delivery_channel_not_null NOT NULL,
    device text CONSTRAINT delivery_device_not_null NOT NULL,
    state text CONSTRAINT delivery_state_not_null NOT NULL,
    attempts integer DEFAULT 1 CONSTRAINT delivery_attempts_not_null NOT NULL,
    next_attempt_time timestamp with time zone CONSTRAINT delivery_next_attempt_time_not_null NOT
        NULL,
    deliver_time timestamp with time zone,
    detail text DEFAULT ''::text CONSTRAINT delivery_detail_not_null NOT NULL,
    CONSTRAINT delivery_channel_check CHECK ((channel = 'PUSH'::text)),
    CONSTRAINT delivery_state_check CHECK ((state = ANY (ARRAY['PENDING'::text, 'DELIVERED'::text,
        'UNDELIVERABLE'::text])))
);
ALTER TABLE notif.delivery_other OWNER TO notif_owner;

ALTER TABLE ONLY notif.delivery_other
    ADD CONSTRAINT delivery_other_pkey PRIMARY KEY (notification_id, channel, device);

CREATE INDEX delivery_other_next_attempt_time_idx ON notif.delivery_other USING btree
    (next_attempt_time) WHERE (state = 'PENDING'::text);

-- Installed apps that can be reached. A token belongs to one customer at a time.
CREATE TABLE notif.device (
    token text NOT NULL,
    customer_id uuid NOT NULL,
    locale text NOT NULL,
    register_time timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT device_locale_check CHECK ((locale = ANY (ARRAY['es'::text, 'en'::text]))),
    CONSTRAINT device_token_check CHECK (((length(token) >= 1) AND (length(token) <= 4096)))
);
ALTER TABLE notif.device OWNER TO notif_owner;

ALTER TABLE ONLY notif.device
    ADD CONSTRAINT device_pkey PRIMARY KEY (token);

-- For the devices of a customer.
CREATE INDEX device_customer ON notif.device USING btree (customer_id);

GRANT SELECT,DELETE ON TABLE notif.device TO bp_notifications;
GRANT SELECT ON TABLE notif.device TO bp_judge;

-- Messages to customers, written once. The id is derived from the event's, so an event that comes
-- again makes no second message. Ids begin with their time, so a range of ids is a month.
CREATE TABLE notif.notification (
    notification_id uuid NOT NULL,
    event_id text NOT NULL,
    customer_id uuid NOT NULL,
    template text NOT NULL,
    title text NOT NULL,
    body text NOT NULL,
    transfer_id text NOT NULL,
    create_time timestamp with time zone DEFAULT now() NOT NULL
)
PARTITION BY RANGE (notification_id);
ALTER TABLE notif.notification OWNER TO notif_owner;

ALTER TABLE ONLY notif.notification ATTACH PARTITION notif.notification_other DEFAULT;

ALTER TABLE ONLY notif.notification
    ADD CONSTRAINT notification_pkey PRIMARY KEY (notification_id);

-- For the messages of a customer, newest first.
CREATE INDEX notification_customer ON ONLY notif.notification USING btree (customer_id,
    notification_id DESC);

GRANT SELECT,INSERT ON TABLE notif.notification TO bp_notifications;
GRANT SELECT ON TABLE notif.notification TO bp_judge;

-- Messages whose month has no partition.
CREATE TABLE notif.notification_other (
    notification_id uuid CONSTRAINT notification_notification_id_not_null NOT NULL,
    event_id text CONSTRAINT notification_event_id_not_null NOT NULL,
    customer_id uuid CONSTRAINT notification_customer_id_not_null NOT NULL,
    template text CONSTRAINT notification_template_not_null NOT NULL,
    title text CONSTRAINT notification_title_not_null NOT NULL,
    body text CONSTRAINT notification_body_not_null NOT NULL,
    transfer_id text CONSTRAINT notification_transfer_id_not_null NOT NULL,
    create_time timestamp with time zone DEFAULT now() CONSTRAINT notification_create_time_not_null
        NOT NULL
);
ALTER TABLE notif.notification_other OWNER TO notif_owner;

ALTER TABLE ONLY notif.notification_other
    ADD CONSTRAINT notification_other_pkey PRIMARY KEY (notification_id);

CREATE INDEX notification_other_customer_id_notification_id_idx ON notif.notification_other USING
    btree (customer_id, notification_id DESC);

-- functions/ensure_partitions.sql, owned by notif_owner
GRANT EXECUTE ON FUNCTION notif.ensure_partitions(integer, timestamp with time zone) TO
    bp_notifications;
