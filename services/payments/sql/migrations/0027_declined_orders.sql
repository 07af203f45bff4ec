-- migrate:up

-- Orders that a control of the bank declined. Before, they left no trace.

GRANT EXECUTE ON FUNCTION
    outbox.append(text, uuid, uuid, text, uuid, bytea, text, ledger.posted[])
    TO payments_owner;

SET ROLE payments_owner;

CREATE TABLE payments.declined_order (
    decline_id           uuid NOT NULL PRIMARY KEY,
    customer_id          uuid NOT NULL,
    account_id           uuid NOT NULL,
    amount               bigint NOT NULL CHECK (amount > 0),
    currency             text NOT NULL,
    beneficiary_name     text NOT NULL,
    routing_number       text NOT NULL,
    account_number       text NOT NULL,
    reason               text NOT NULL,
    fraud_transaction_id uuid NOT NULL,
    correlation_id       text NOT NULL,
    decline_time         timestamptz NOT NULL
) PARTITION BY RANGE (decline_id);

CREATE INDEX declined_order_by_customer ON payments.declined_order (customer_id, decline_id);

COMMENT ON TABLE payments.declined_order IS
    'Orders that a control of the bank declined (fraud, frozen account, largest amount), one '
    'row for each attempt. Monthly partitions: decline_id is a UUIDv7. They are dropped after five '
    'years, as long as 31 CFR 1010.430 asks banks to keep records.';
COMMENT ON COLUMN payments.declined_order.account_id IS
    'The account that the customer named, which may be another customer''s.';
COMMENT ON COLUMN payments.declined_order.fraud_transaction_id IS
    'The id under which the fraud service knows the order; the same for each repetition.';
COMMENT ON INDEX payments.declined_order_by_customer IS
    'For the declined orders of a customer, by time.';

-- Keeps a declined order on record and writes its event. Nothing is locked, so the event is ordered
-- with no other event of the account.
CREATE FUNCTION payments.decline(
    decline_id uuid, customer_id uuid, account_id uuid, amount bigint, currency text,
    beneficiary_name text, routing_number text, account_number text, reason text,
    fraud_transaction_id uuid, correlation_id text, decline_time timestamptz,
    event_id uuid, payload bytea, traceparent text
) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    INSERT INTO payments.declined_order (decline_id, customer_id, account_id, amount, currency,
        beneficiary_name, routing_number, account_number, reason, fraud_transaction_id,
        correlation_id, decline_time)
    VALUES (decline_id, customer_id, account_id, amount, currency, beneficiary_name,
        routing_number, account_number, reason, fraud_transaction_id, correlation_id,
        decline_time);
    PERFORM outbox.append('payments', account_id, event_id, 'bp.payments.v1.TransferDeclined',
        decline_id, payload, traceparent);
END $$;

-- Makes the missing monthly partitions of payments.interbank_transfer and payments.declined_order,
-- from the month before `since` to `months_ahead` after it, and returns how many it made. The
-- service calls it daily.
CREATE OR REPLACE FUNCTION payments.ensure_partitions(
    months_ahead integer DEFAULT 3, since timestamptz DEFAULT now()
) RETURNS integer
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT chassis.ensure_months(
            'payments.interbank_transfer', months_ahead, since, 'payments.finish_partition')
        + chassis.ensure_months('payments.declined_order', months_ahead, since)
$$;

-- Drops the declined orders of months that ended more than five years ago, and returns how many
-- months it dropped. The service calls it daily.
CREATE FUNCTION payments.drop_old_declines() RETURNS integer
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT chassis.drop_months('payments.declined_order', interval '5 years')
$$;

GRANT EXECUTE ON FUNCTION
    payments.decline(uuid, uuid, uuid, bigint, text, text, text, text, text, uuid, text,
        timestamptz, uuid, bytea, text),
    payments.drop_old_declines()
    TO bp_payments;

SELECT payments.ensure_partitions();

RESET ROLE;

-- migrate:down
CREATE OR REPLACE FUNCTION payments.ensure_partitions(
    months_ahead integer DEFAULT 3, since timestamptz DEFAULT now()
) RETURNS integer
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT chassis.ensure_months(
        'payments.interbank_transfer', months_ahead, since, 'payments.finish_partition')
$$;
DROP FUNCTION payments.drop_old_declines();
DROP FUNCTION payments.decline(uuid, uuid, uuid, bigint, text, text, text, text, text, uuid, text,
    timestamptz, uuid, bytea, text);
DROP TABLE payments.declined_order;
REVOKE EXECUTE ON FUNCTION
    outbox.append(text, uuid, uuid, text, uuid, bytea, text, ledger.posted[])
    FROM payments_owner;
