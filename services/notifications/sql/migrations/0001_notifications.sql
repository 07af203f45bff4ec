-- migrate:up

-- What customers were told, on which devices, and what became of it. Everything belongs to
-- notif_owner, who cannot log in.

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'notif_owner') THEN
        CREATE ROLE notif_owner NOLOGIN;
    END IF;
END $$;

CREATE SCHEMA notif AUTHORIZATION notif_owner;
REVOKE ALL ON SCHEMA notif FROM PUBLIC;
GRANT USAGE ON SCHEMA notif TO bp_notifications, bp_judge;

SET ROLE notif_owner;

ALTER DEFAULT PRIVILEGES FOR ROLE notif_owner REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;

-- An installed app that can be reached. A token belongs to one customer at a time.
CREATE TABLE notif.device (
    token         text PRIMARY KEY CHECK (length(token) BETWEEN 1 AND 4096),
    customer_id   uuid NOT NULL,
    locale        text NOT NULL CHECK (locale IN ('es', 'en')),
    register_time timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX device_customer ON notif.device (customer_id);

-- A message to a customer, written once. Its id is derived from the event's (see state.py): the
-- same event gives the same id, which is what makes it one message however often the event comes.
-- Ids begin with their time, so ranges of ids are months.
CREATE TABLE notif.notification (
    notification_id uuid PRIMARY KEY,
    event_id        text NOT NULL,
    customer_id     uuid NOT NULL,
    template        text NOT NULL,
    title           text NOT NULL,
    body            text NOT NULL,
    transfer_id     text NOT NULL,
    create_time     timestamptz NOT NULL DEFAULT now()
) PARTITION BY RANGE (notification_id);
CREATE INDEX notification_customer ON notif.notification (customer_id, notification_id DESC);

-- One message on one channel to one device. next_attempt_time is also the lease of whoever sends
-- it now: while it lies ahead nobody else may.
CREATE TABLE notif.delivery (
    notification_id   uuid NOT NULL,
    channel           text NOT NULL CHECK (channel IN ('PUSH')),
    device            text NOT NULL,
    state             text NOT NULL CHECK (state IN ('PENDING', 'DELIVERED', 'UNDELIVERABLE')),
    attempts          integer NOT NULL DEFAULT 0,
    next_attempt_time timestamptz NOT NULL,
    deliver_time      timestamptz,
    detail            text NOT NULL DEFAULT '',
    PRIMARY KEY (notification_id, channel, device)
) PARTITION BY RANGE (notification_id);
CREATE INDEX delivery_pending ON notif.delivery (next_attempt_time) WHERE state = 'PENDING';

GRANT SELECT, INSERT, DELETE ON notif.device TO bp_notifications;
GRANT SELECT, INSERT ON notif.notification TO bp_notifications;
GRANT SELECT, INSERT, UPDATE ON notif.delivery TO bp_notifications;
GRANT SELECT ON notif.device, notif.notification, notif.delivery TO bp_judge;

-- The smallest UUIDv7 of an instant.
CREATE FUNCTION notif.id_floor(instant timestamptz) RETURNS uuid
LANGUAGE sql IMMUTABLE STRICT
AS $$
    SELECT (lpad(to_hex(floor(extract(epoch FROM instant) * 1000)::bigint), 12, '0')
            || repeat('0', 20))::uuid
$$;

CREATE TABLE notif.notification_other PARTITION OF notif.notification DEFAULT;
CREATE TABLE notif.delivery_other PARTITION OF notif.delivery DEFAULT;

-- Makes the partitions of this month and of the months ahead, where they are missing. The service
-- calls it daily; a month whose rows already went to the catch-all is left there.
CREATE FUNCTION notif.ensure_partitions(months_ahead integer) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, notif AS $$
DECLARE
    parent text;
    beginning timestamptz;
    low uuid;
    high uuid;
    strays boolean;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('notif.ensure_partitions'));
    FOR month IN 0..months_ahead LOOP
        beginning := date_trunc('month', now(), 'UTC') + make_interval(months => month);
        low := notif.id_floor(beginning);
        high := notif.id_floor(beginning + interval '1 month');
        FOREACH parent IN ARRAY ARRAY['notification', 'delivery'] LOOP
            CONTINUE WHEN to_regclass(
                format('notif.%s_%s', parent, to_char(beginning AT TIME ZONE 'UTC', 'YYYY_MM'))
            ) IS NOT NULL;
            EXECUTE format(
                'SELECT EXISTS (SELECT FROM notif.%s_other'
                ' WHERE notification_id >= %L AND notification_id < %L)', parent, low, high
            ) INTO strays;
            CONTINUE WHEN strays;
            EXECUTE format(
                'CREATE TABLE notif.%s_%s PARTITION OF notif.%s FOR VALUES FROM (%L) TO (%L)',
                parent, to_char(beginning AT TIME ZONE 'UTC', 'YYYY_MM'), parent, low, high);
        END LOOP;
    END LOOP;
END $$;
GRANT EXECUTE ON FUNCTION notif.ensure_partitions(integer) TO bp_notifications;

SELECT notif.ensure_partitions(3);

RESET ROLE;

-- migrate:down

DROP SCHEMA notif CASCADE;
