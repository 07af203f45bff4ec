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
