-- migrate:up

-- A repeated order that is declined again leaves one record, and a flood of declined orders leaves
-- a limited number of records for each customer and hour.
SET ROLE payments_owner;

CREATE TABLE payments.declines_of_hour (
    customer_id uuid NOT NULL,
    hour        timestamptz NOT NULL,
    account_id  uuid NOT NULL,
    recorded    integer NOT NULL DEFAULT 0,
    further     bigint NOT NULL DEFAULT 0,
    report_id   uuid,
    PRIMARY KEY (customer_id, hour)
);
COMMENT ON TABLE payments.declines_of_hour IS
    'How many orders of a customer were declined in an hour. Rows with further orders are kept for '
    'five years, the others for a day.';
COMMENT ON COLUMN payments.declines_of_hour.hour IS 'The beginning of the hour, in UTC.';
COMMENT ON COLUMN payments.declines_of_hour.account_id IS
    'The account of the first order of the hour; the key of the event about the further ones.';
COMMENT ON COLUMN payments.declines_of_hour.recorded IS 'Orders with a row in declined_order.';
COMMENT ON COLUMN payments.declines_of_hour.further IS
    'Orders beyond the limit, which have no row; repetitions among them count each time.';
COMMENT ON COLUMN payments.declines_of_hour.report_id IS
    'The aggregate of the event FurtherOrdersDeclined; NULL until it is written.';

CREATE INDEX declines_of_hour_unreported ON payments.declines_of_hour (hour)
    WHERE further > 0 AND report_id IS NULL;
COMMENT ON INDEX payments.declines_of_hour_unreported IS
    'For the hours whose further orders have no event yet.';

-- The table is small: it has only the orders that a control of the bank declined.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX declined_order_by_order ON payments.declined_order
    (customer_id, fraud_transaction_id, reason);
COMMENT ON INDEX payments.declined_order_by_order IS
    'For the record of an order that is repeated.';
COMMENT ON TABLE payments.declined_order IS
    'Orders that a control of the bank declined (fraud, frozen account, largest amount), one '
    'row for each order and reason, up to a limit for each customer and hour. Monthly partitions: '
    'decline_id is a UUIDv7. They are dropped after five years, as long as 31 CFR 1010.430 asks '
    'banks to keep records.';

CREATE TYPE payments.decline_row AS (
    decline_id           uuid,
    customer_id          uuid,
    account_id           uuid,
    amount               bigint,
    currency             text,
    beneficiary_name     text,
    routing_number       text,
    account_number       text,
    reason               text,
    fraud_transaction_id uuid,
    correlation_id       text,
    decline_time         timestamptz,
    event_id             uuid,
    payload              bytea,
    traceparent          text
);
COMMENT ON TYPE payments.decline_row IS 'The arguments of payments.decline, for decline_group.';

-- Keeps declined orders on record and writes their events, in one commit. An order that repeats one
-- of the last 400 days, with the same customer, key, payload and reason, is REPEATED and writes
-- nothing. Beyond `recorded_max` records of a customer in an hour an order is only counted:
-- FURTHER. Returns the outcome of each order; RECORDED for the others. No account is locked, so the
-- events are ordered with no other event of the account. The rows of the hours are locked in one
-- order, so that two batches cannot deadlock, and a repetition waits for the order that it repeats.
CREATE FUNCTION payments.decline_group(
    orders payments.decline_row[], recorded_max integer
) RETURNS TABLE (decline_id uuid, outcome text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '1s'
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off
AS $$
#variable_conflict use_column
DECLARE
    one payments.decline_row;
    this_hour timestamptz;
BEGIN
    INSERT INTO payments.declines_of_hour AS h (customer_id, hour, account_id)
    SELECT DISTINCT ON (1, 2) o.customer_id, date_trunc('hour', o.decline_time, 'UTC'),
        o.account_id
    FROM unnest(orders) o
    ORDER BY 1, 2
    ON CONFLICT (customer_id, hour) DO UPDATE SET recorded = h.recorded;
    FOREACH one IN ARRAY orders LOOP
        this_hour := date_trunc('hour', one.decline_time, 'UTC');
        decline_id := one.decline_id;
        IF EXISTS (
            SELECT FROM payments.declined_order d
            WHERE d.customer_id = one.customer_id AND d.reason = one.reason
              AND d.fraud_transaction_id = one.fraud_transaction_id
              AND d.decline_id >= chassis.id_floor(now() - interval '400 days'))
        THEN
            outcome := 'REPEATED';
        ELSE
            UPDATE payments.declines_of_hour h
            SET recorded = least(h.recorded + 1, recorded_max),
                further = h.further + (h.recorded >= recorded_max)::int
            WHERE h.customer_id = one.customer_id AND h.hour = this_hour
            RETURNING CASE WHEN h.further = 0 THEN 'RECORDED' ELSE 'FURTHER' END INTO outcome;
            IF outcome = 'RECORDED' THEN
                PERFORM payments.decline(one.decline_id, one.customer_id, one.account_id,
                    one.amount, one.currency, one.beneficiary_name, one.routing_number,
                    one.account_number, one.reason, one.fraud_transaction_id, one.correlation_id,
                    one.decline_time, one.event_id, one.payload, one.traceparent);
            END IF;
        END IF;
        RETURN NEXT;
    END LOOP;
END $$;

-- Writes the event that says how many orders of a customer were declined in an hour beyond those on
-- record. Returns false and changes nothing when the event is written already.
CREATE FUNCTION payments.report_declines(
    customer_id uuid, hour timestamptz, report_id uuid, event_id uuid, payload bytea
) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '1s'
AS $$
#variable_conflict use_variable
DECLARE
    account uuid;
BEGIN
    UPDATE payments.declines_of_hour h SET report_id = report_declines.report_id
    WHERE h.customer_id = report_declines.customer_id AND h.hour = report_declines.hour
      AND h.report_id IS NULL
    RETURNING h.account_id INTO account;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM outbox.append('payments', account, event_id,
        'bp.payments.v1.FurtherOrdersDeclined', report_id, payload);
    RETURN true;
END $$;

-- Drops the declined orders of months that ended more than five years ago, and returns how many
-- months it dropped. It removes the counts of hours too: after five years, and after a day if every
-- order of the hour is on record. The service calls it daily.
CREATE OR REPLACE FUNCTION payments.drop_old_declines() RETURNS integer
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    DELETE FROM payments.declines_of_hour h
    WHERE h.hour < now() - interval '1 day' AND h.further = 0
       OR h.hour < now() - interval '5 years';
    SELECT chassis.drop_months('payments.declined_order', interval '5 years')
$$;

GRANT EXECUTE ON FUNCTION payments.decline_group(payments.decline_row[], integer),
    payments.report_declines(uuid, timestamptz, uuid, uuid, bytea) TO bp_payments;
GRANT SELECT ON payments.declines_of_hour TO bp_payments, bp_judge;

RESET ROLE;

-- migrate:down
SET ROLE payments_owner;

-- Drops the declined orders of months that ended more than five years ago, and returns how many
-- months it dropped. The service calls it daily.
CREATE OR REPLACE FUNCTION payments.drop_old_declines() RETURNS integer
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT chassis.drop_months('payments.declined_order', interval '5 years')
$$;

DROP FUNCTION payments.report_declines(uuid, timestamptz, uuid, uuid, bytea);
DROP FUNCTION payments.decline_group(payments.decline_row[], integer);
DROP TYPE payments.decline_row;
DROP INDEX payments.declined_order_by_order;
DROP TABLE payments.declines_of_hour;
COMMENT ON TABLE payments.declined_order IS
    'Orders that a control of the bank declined (fraud, frozen account, largest amount), one '
    'row for each attempt. Monthly partitions: decline_id is a UUIDv7. They are dropped after five '
    'years, as long as 31 CFR 1010.430 asks banks to keep records.';

RESET ROLE;
