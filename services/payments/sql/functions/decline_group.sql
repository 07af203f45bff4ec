-- Keeps declined orders on record and writes their events, in one commit. An order that repeats one
-- of the last 400 days, with the same customer, key, payload and reason, is REPEATED and writes
-- nothing. Beyond `recorded_max` records of a customer in an hour an order is only counted:
-- FURTHER. Returns the outcome of each order; RECORDED for the others. No account is locked, so the
-- events are ordered with no other event of the account. The rows of the hours are locked in one
-- order, so that two batches cannot deadlock, and a repetition waits for the order that it repeats.
CREATE OR REPLACE FUNCTION payments.decline_group(
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
