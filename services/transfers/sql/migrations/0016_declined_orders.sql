-- migrate:up

-- Book transfers that a control of the bank declined. Before, they left no trace. The limit of an
-- hour is one for all orders of a customer, so its count is that of interbank transfers.

GRANT SELECT, INSERT, UPDATE ON payments.declines_of_hour TO transfers_owner;

SET ROLE transfers_owner;

CREATE TABLE transfers.declined_order (
    decline_id             uuid NOT NULL PRIMARY KEY,
    customer_id            uuid NOT NULL,
    account_id             uuid NOT NULL,
    destination_account_id uuid NOT NULL,
    amount                 bigint NOT NULL CHECK (amount > 0),
    currency               text NOT NULL,
    reason                 text NOT NULL,
    order_id               uuid NOT NULL,
    correlation_id         text NOT NULL,
    decline_time           timestamptz NOT NULL
) PARTITION BY RANGE (decline_id);

CREATE INDEX declined_order_by_customer ON transfers.declined_order (customer_id, decline_id);
CREATE INDEX declined_order_by_order ON transfers.declined_order (customer_id, order_id, reason);

COMMENT ON TABLE transfers.declined_order IS
    'Book transfers that a control of the bank declined (frozen account, largest amount), one row '
    'for each order and reason, up to a limit for each customer and hour. Monthly partitions: '
    'decline_id is a UUIDv7. They are dropped after five years, as long as 31 CFR 1010.430 asks '
    'banks to keep records.';
COMMENT ON COLUMN transfers.declined_order.order_id IS
    'The same for each repetition of the order: it comes from customer, key and payload.';
COMMENT ON INDEX transfers.declined_order_by_customer IS
    'For the declined orders of a customer, by time.';
COMMENT ON INDEX transfers.declined_order_by_order IS
    'For the record of an order that is repeated.';

CREATE TYPE transfers.decline_row AS (
    decline_id             uuid,
    customer_id            uuid,
    account_id             uuid,
    destination_account_id uuid,
    amount                 bigint,
    currency               text,
    reason                 text,
    order_id               uuid,
    correlation_id         text,
    decline_time           timestamptz,
    event_id               uuid,
    payload                bytea,
    traceparent            text
);
COMMENT ON TYPE transfers.decline_row IS
    'One declined order with its event, for transfers.decline_group.';

-- Keeps declined orders on record and writes their events, in one commit. An order that repeats one
-- of the last 400 days, with the same customer, key, payload and reason, is REPEATED and writes
-- nothing. Beyond `recorded_max` records of a customer in an hour an order is only counted:
-- FURTHER. Interbank orders count too, and payments writes the event about the further ones of
-- both. Returns the outcome of each order; RECORDED for the others. No account is locked, so the
-- events are ordered with no other event of the account. The rows of the hours are locked in one
-- order, so that two batches cannot deadlock, and a repetition waits for the order that it repeats.
CREATE FUNCTION transfers.decline_group(
    orders transfers.decline_row[], recorded_max integer
) RETURNS TABLE (decline_id uuid, outcome text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '1s'
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off
AS $$
#variable_conflict use_column
DECLARE
    one transfers.decline_row;
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
            SELECT FROM transfers.declined_order d
            WHERE d.customer_id = one.customer_id AND d.reason = one.reason
              AND d.order_id = one.order_id
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
                INSERT INTO transfers.declined_order (decline_id, customer_id, account_id,
                    destination_account_id, amount, currency, reason, order_id, correlation_id,
                    decline_time)
                VALUES (one.decline_id, one.customer_id, one.account_id,
                    one.destination_account_id, one.amount, one.currency, one.reason,
                    one.order_id, one.correlation_id, one.decline_time);
                PERFORM outbox.append('transfers', one.account_id, one.event_id,
                    'bp.transfers.v1.BookTransferDeclined', one.decline_id, one.payload,
                    one.traceparent);
            END IF;
        END IF;
        RETURN NEXT;
    END LOOP;
END $$;

-- Makes the missing monthly partitions of transfers.book_transfer and transfers.declined_order,
-- from the month before `since` to `months_ahead` after it, and returns how many it made. The
-- service calls it daily.
CREATE OR REPLACE FUNCTION transfers.ensure_partitions(
    months_ahead integer DEFAULT 3, since timestamptz DEFAULT now()
) RETURNS integer
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT chassis.ensure_months('transfers.book_transfer', months_ahead, since)
        + chassis.ensure_months('transfers.declined_order', months_ahead, since)
$$;

-- Drops the declined orders of months that ended more than five years ago, and returns how many
-- months it dropped. The service calls it daily.
CREATE FUNCTION transfers.drop_old_declines() RETURNS integer
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT chassis.drop_months('transfers.declined_order', interval '5 years')
$$;

GRANT EXECUTE ON FUNCTION
    transfers.decline_group(transfers.decline_row[], integer), transfers.drop_old_declines()
    TO bp_transfers;

SELECT chassis.ensure_months('transfers.declined_order', 3, now());

RESET ROLE;

-- migrate:down
-- Older migrations drop the tables, so this one refuses while there is something to lose.
DO $$
BEGIN
    IF EXISTS (SELECT FROM transfers.book_transfer)
        OR EXISTS (SELECT FROM transfers.declined_order)
    THEN
        RAISE EXCEPTION 'schema transfers holds book transfers or declined orders'
            USING ERRCODE = 'object_in_use',
                HINT = 'Keep them with a new migration, or restore a backup.';
    END IF;
END $$;

SET ROLE transfers_owner;

DROP FUNCTION transfers.drop_old_declines();

-- Makes the missing monthly partitions of transfers.book_transfer, from the month before `since` to
-- `months_ahead` after it, and returns how many it made. The service calls it daily.
CREATE OR REPLACE FUNCTION transfers.ensure_partitions(
    months_ahead integer DEFAULT 3, since timestamptz DEFAULT now()
) RETURNS integer
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT chassis.ensure_months('transfers.book_transfer', months_ahead, since)
$$;

DROP FUNCTION transfers.decline_group(transfers.decline_row[], integer);
DROP TYPE transfers.decline_row;
DROP TABLE transfers.declined_order;

RESET ROLE;

REVOKE SELECT, INSERT, UPDATE ON payments.declines_of_hour FROM transfers_owner;
