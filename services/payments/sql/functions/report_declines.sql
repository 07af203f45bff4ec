-- Writes the event that says how many orders of a customer were declined in an hour beyond those on
-- record. Returns false and changes nothing when the event is written already.
CREATE OR REPLACE FUNCTION payments.report_declines(
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
